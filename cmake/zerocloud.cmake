# Flags and the functions that every folder's CMakeLists.txt is written with.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(ZEROCLOUD_TEST_DIRECTORY "${CMAKE_BINARY_DIR}/tests")

if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang" OR CMAKE_CXX_COMPILER_VERSION VERSION_LESS 19)
  message(FATAL_ERROR "zerocloud needs clang 19 (GCC 12 miscompiles coroutines); use a preset: "
                      "cmake --preset release")
endif()

if(ZEROCLOUD_TIDY)
  find_program(ZEROCLOUD_CLANG_TIDY NAMES clang-tidy-19 REQUIRED)
  set(CMAKE_CXX_CLANG_TIDY "${ZEROCLOUD_CLANG_TIDY}")
endif()

find_package(Threads REQUIRED)
find_package(GTest REQUIRED)
find_package(benchmark REQUIRED)

# What all our C++ is compiled with. Freestanding code (the session launcher) takes only the
# warnings and sets its own flags.
add_library(zerocloud_warnings INTERFACE)
target_compile_options(zerocloud_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wunused-result -Werror
  $<$<COMPILE_LANGUAGE:CXX>:-Wold-style-cast -Wnon-virtual-dtor>)
target_include_directories(zerocloud_warnings INTERFACE "${PROJECT_SOURCE_DIR}")

add_library(zerocloud_flags INTERFACE)
target_link_libraries(zerocloud_flags INTERFACE zerocloud_warnings Threads::Threads)
target_compile_options(zerocloud_flags INTERFACE -fstack-protector-strong)
target_compile_definitions(zerocloud_flags INTERFACE _GLIBCXX_ASSERTIONS
  $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
target_link_options(zerocloud_flags INTERFACE -pie -Wl,-z,relro -Wl,-z,now -fuse-ld=lld-19)
if(ZEROCLOUD_SANITIZE)
  target_compile_options(zerocloud_flags INTERFACE
    -fsanitize=${ZEROCLOUD_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
    -fsanitize-ignorelist=${PROJECT_SOURCE_DIR}/cmake/sanitizer-ignore.txt -U_FORTIFY_SOURCE)
  target_link_options(zerocloud_flags INTERFACE -fsanitize=${ZEROCLOUD_SANITIZE})
endif()
if(ZEROCLOUD_COVERAGE)
  target_compile_options(zerocloud_flags INTERFACE -fprofile-instr-generate -fcoverage-mapping)
  target_link_options(zerocloud_flags INTERFACE -fprofile-instr-generate)
endif()
if(ZEROCLOUD_FUZZ)
  target_compile_options(zerocloud_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

# zc_library(NAME SOURCES a.cc ... [DEPS public...] [PRIVATE_DEPS private...])
# One per folder. The alias zerocloud::NAME is what other folders link.
function(zc_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(zc_${name} STATIC ${arg_SOURCES})
  target_link_libraries(zc_${name} PUBLIC zerocloud_flags ${arg_DEPS} PRIVATE ${arg_PRIVATE_DEPS})
  add_library(zerocloud::${name} ALIAS zc_${name})
endfunction()

# zc_headers(NAME [DEPS ...]): a folder that has only headers.
function(zc_headers name)
  cmake_parse_arguments(arg "" "" "DEPS" ${ARGN})
  add_library(zc_${name} INTERFACE)
  target_link_libraries(zc_${name} INTERFACE zerocloud_flags ${arg_DEPS})
  add_library(zerocloud::${name} ALIAS zc_${name})
endfunction()

# zc_program(NAME SOURCES main.cc [DEPS ...]): an executable in build/<preset>/bin.
function(zc_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE zerocloud_flags ${arg_DEPS})
  install(TARGETS ${name} RUNTIME)
endfunction()

# zc_test(NAME SOURCES x_test.cc ... [DEPS ...] [LABELS ...] [ENV k=v ...]): one GoogleTest program;
# each of its tests is a ctest test.
function(zc_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;DEPS;LABELS;ENV" ${ARGN})
  if(NOT BUILD_TESTING)
    return()
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  add_executable(${name} ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${ZEROCLOUD_TEST_DIRECTORY}")
  target_link_libraries(${name} PRIVATE zerocloud_flags GTest::gtest GTest::gmock GTest::gtest_main
    ${arg_DEPS})
  set(properties TIMEOUT ${arg_TIMEOUT})
  if(arg_LABELS)
    list(APPEND properties LABELS "${arg_LABELS}")
  endif()
  if(arg_ENV)
    list(APPEND properties ENVIRONMENT "${arg_ENV}")
  endif()
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60 PROPERTIES ${properties})
endfunction()

# zc_benchmark(NAME SOURCES x_bench.cc [DEPS ...]): a Google Benchmark program with its own main; run by
# integration-tests/bench/run. Not made where its figures would mean nothing.
function(zc_benchmark name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  if(ZEROCLOUD_SANITIZE OR ZEROCLOUD_FUZZ OR NOT BUILD_TESTING)
    return()
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE zerocloud_flags benchmark::benchmark ${arg_DEPS})
endfunction()

# zc_fuzzer(NAME SOURCES x_fuzzer.cc [DEPS ...]): built only with the fuzz preset.
function(zc_fuzzer name)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPS" ${ARGN})
  if(NOT ZEROCLOUD_FUZZ)
    return()
  endif()
  add_executable(${name} ${arg_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/fuzz")
  target_link_libraries(${name} PRIVATE zerocloud_flags ${arg_DEPS})
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
endfunction()
