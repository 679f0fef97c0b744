# Guests: what zvm-cc needs in the build tree, and functions to build programs with it.
#
# The presets that build for speed or debugging make the guests' libraries themselves. The others (with
# sanitizers, fuzzers, clang-tidy) would only repeat that; their tests may use what another preset has
# built, by ZEROCLOUD_GUEST_SYSROOT.
set(ZEROCLOUD_GUEST_SYSROOT "" CACHE PATH
  "The zvm/ directory of another build tree, e.g. build/release/zvm; empty: build it where that makes sense")

set(ZVM_SYSROOT "${CMAKE_BINARY_DIR}/zvm")
set(ZVM_CC "${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/zvm-cc")
set(ZVM_CXX "${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/zvm-c++")

if(ZEROCLOUD_GUEST_SYSROOT)
  set(ZEROCLOUD_BUILD_GUESTS OFF)
  set(ZEROCLOUD_HAVE_GUESTS ON)
  file(CREATE_LINK "${ZEROCLOUD_GUEST_SYSROOT}" "${ZVM_SYSROOT}" SYMBOLIC)
elseif(ZEROCLOUD_SANITIZE OR ZEROCLOUD_FUZZ OR ZEROCLOUD_TIDY OR ZEROCLOUD_COVERAGE)
  set(ZEROCLOUD_BUILD_GUESTS OFF)
  set(ZEROCLOUD_HAVE_GUESTS OFF)
else()
  set(ZEROCLOUD_BUILD_GUESTS ON)
  set(ZEROCLOUD_HAVE_GUESTS ON)
endif()

# zvm_object(OUTPUT SOURCE [OPTIONS ...] [DEPENDS ...]): compiles one file for guests.
function(zvm_object output source)
  cmake_parse_arguments(arg "" "" "OPTIONS;DEPENDS" ${ARGN})
  cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}")
  cmake_path(GET output PARENT_PATH directory)
  file(MAKE_DIRECTORY "${directory}")
  add_custom_command(OUTPUT "${output}"
    COMMAND "${ZVM_CC}" ${arg_OPTIONS} -MD -MF "${output}.d" -MT "${output}" -c "${source}" -o "${output}"
    DEPENDS "${source}" zvm-as "${ZVM_CC}" "${ZVM_SYSROOT}/lib/zvm.specs" ${arg_DEPENDS}
    DEPFILE "${output}.d" VERBATIM)
endfunction()

# zvm_program(NAME SOURCES a.c ... [OPTIONS ...]): a guest program, as target guest-NAME and file
# ${ZEROCLOUD_GUEST_DIRECTORY}/NAME. Nothing is defined when there are no guests (ZEROCLOUD_HAVE_GUESTS).
set(ZEROCLOUD_GUEST_DIRECTORY "${CMAKE_BINARY_DIR}/guests")
function(zvm_program name)
  cmake_parse_arguments(arg "" "" "SOURCES;OPTIONS" ${ARGN})
  if(NOT ZEROCLOUD_HAVE_GUESTS)
    return()
  endif()
  set(output "${ZEROCLOUD_GUEST_DIRECTORY}/${name}")
  set(sources "")
  foreach(source IN LISTS arg_SOURCES)
    cmake_path(ABSOLUTE_PATH source BASE_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}")
    list(APPEND sources "${source}")
  endforeach()
  file(MAKE_DIRECTORY "${ZEROCLOUD_GUEST_DIRECTORY}")
  set(libraries "")
  if(ZEROCLOUD_BUILD_GUESTS)
    set(libraries guest-sysroot "${ZVM_SYSROOT}/lib/libc.a" "${ZVM_SYSROOT}/lib/libgcc.a"
      "${ZVM_SYSROOT}/lib/crt1.o" "${ZVM_SYSROOT}/lib/zvm.ld")
  endif()
  add_custom_command(OUTPUT "${output}"
    COMMAND "${ZVM_CC}" -O2 ${arg_OPTIONS} ${sources} -o "${output}"
    DEPENDS ${sources} "${ZVM_CC}" ${libraries} VERBATIM)
  add_custom_target(guest-${name} ALL DEPENDS "${output}")
endfunction()
