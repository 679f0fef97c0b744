#!/bin/sh
# zvm-cc as a build system uses it: zvm_cc_test.sh ZVM_CC ZVM_VERIFY. Each step that links a program has it
# verified. Prints the steps; the first one that fails is the exit code's.
set -eu

compiler=$1
verify=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
unset CFLAGS CPPFLAGS LDFLAGS CC || true

step() { echo "-- $*"; }
fail() {
  echo "FAILED: $*" >&2
  exit 1
}
verified() { "$verify" "$1" > verdict.txt 2>&1 || fail "$(cat verdict.txt)"; }
refused() { # WORD OPTIONS...: the compiler fails and says WORD
  word=$1
  shift
  if "$compiler" "$@" > refused.txt 2>&1; then fail "$* was accepted"; fi
  grep -q -- "$word" refused.txt || fail "$*: no \"$word\" in: $(cat refused.txt)"
}

cat > main.c << 'SOURCE'
#include <stdio.h>
#include "part.h"
#ifndef __zvm__
#error not for guests
#endif
int main(void) { printf("%d\n", part(2)); return 0; }
SOURCE
mkdir include
echo 'int part(int);' > include/part.h
echo 'int part(int x) { static _Thread_local int n; return x + ++n; }' > part.c
printf '\t.globl part\n\t.type part, @function\npart:\n\tleal 1(%%rdi), %%eax\n\tret\n' > part.s
printf '#define NAME part\n\t.globl NAME\n\t.type NAME, @function\nNAME:\n\tmovl $7, %%eax\n\tret\n' > upper.S

step "compile and link in one step, and in two, at every level"
for level in -O0 -O1 -O2 -O3 -Os -Og; do
  "$compiler" $level -Iinclude main.c part.c -o one
  verified one
  "$compiler" $level -g -Iinclude -c main.c
  "$compiler" $level -g -c part.c -o part.o
  "$compiler" main.o part.o -o two
  verified two
done

step "options of the machine, of code generation and of hardening"
for options in -march=x86-64-v3 "-march=haswell -Ofast" -fPIC -fPIE -pie -static \
  -fstack-protector-strong "-fcf-protection=full" -fno-omit-frame-pointer -fstack-clash-protection \
  -ffunction-sections -flto -pthread "-D_FORTIFY_SOURCE=2 -O2" -mcmodel=medium -pipe -m64 -gdwarf-4 -g3 \
  -fno-plt -ftls-model=global-dynamic; do
  # shellcheck disable=SC2086 # several options
  "$compiler" -O2 $options -Iinclude main.c part.c -o with || fail "$options"
  verified with
done

step "fast floating point, for every tuning"
cat > float.c << 'SOURCE'
#include <math.h>
void gather(float *a, float *b, int *i, int n) { for (int k = 0; k < n; k++) a[k] = b[i[k]]; }
void root(float *a, float *b, int n) { for (int k = 0; k < n; k++) a[k] = 1 / sqrtf(b[k]); }
void quotient(float *a, float *b, int n) { for (int k = 0; k < n; k++) a[k] = 1 / b[k]; }
long double wide(long double x) { return sinl(x) + sqrtl(x) + atan2l(x, 2) + exp2l(x) + logl(x); }
double whole(double x) { return lrint(x) + floor(x) + rint(x) + fmod(x, 3); }
int main(void) { return 0; }
SOURCE
for machine in x86-64 x86-64-v2 x86-64-v3 haswell skylake znver3 alderlake; do
  for level in -O3 -Ofast; do
    "$compiler" $level -march=$machine float.c -o float
    verified float
  done
done

step "assembly: .s, preprocessed .S, standard input, with line information"
"$compiler" -g -Iinclude main.c part.s -o from_s
verified from_s
"$compiler" -g -c upper.S -o upper.o
"$compiler" -Iinclude main.c upper.o -o from_upper
verified from_upper
"$compiler" -x assembler -c - -o stdin.o < part.s
"$compiler" -S -O2 part.c -o - | grep -q 'part:' || fail "-S"
"$compiler" -x c -c -o c_stdin.o - < part.c

step "preprocessor and dependencies"
"$compiler" -E -Iinclude main.c | grep -q 'int part(int)' || fail "-E"
"$compiler" -MMD -MF deps.d -Iinclude -c main.c -o deps.o
grep -q 'include/part.h' deps.d || fail "-MMD"
"$compiler" -M -Iinclude main.c | grep -q 'stdio.h' || fail "-M"

step "C++ without its library"
cat > plus.cc << 'SOURCE'
#include <stdio.h>
struct Base { virtual ~Base() {} virtual int get() = 0; };
struct Derived : Base { int get() override { return 5; } };
int main() { Base* b = new Derived; printf("%d\n", b->get()); delete b; }
SOURCE
"$compiler" -O2 plus.cc -o plus
verified plus
"$(dirname "$compiler")/zvm-c++" -O2 -std=c++20 plus.cc -o plus
verified plus

step "archives"
"$compiler" -O2 -c part.c -o part.o
ar rcs libpart.a part.o
"$compiler" -Iinclude main.c -L. -lpart -lm -lpthread -o archived
verified archived

step "everything that musl has in one program"
"$compiler" -Wl,--whole-archive -lc -Wl,--no-whole-archive -Iinclude main.c part.c -o whole
verified whole

step "what cannot be is refused with a reason"
refused "no shared objects" -shared part.c -o part.so
refused "64-bit" -m32 -c part.c
refused "x86-64-v3" -mavx512f -c part.c
refused "other machines" -march=native -c part.c
echo 'void f(void) { __asm__("cpuid"); }' > bad.c
refused "bad.c\|cpuid: a guest must not see" -c bad.c
echo 'int f(void) { return undefined_name; }' > wrong.c
refused "undefined_name" -c wrong.c
refused "undefined symbol: part" -Iinclude main.c -o unlinked

step "an object that needs x86-64-v3 makes the image say so"
printf '#include <immintrin.h>\n__m256 v; void f(void) { v = _mm256_add_ps(v, v); }\nint main(void) { f(); }\n' > avx.c
"$compiler" -O2 -mavx2 -c avx.c
"$compiler" avx.o -o avx # no option here
verified avx
grep -q 'x86-64-v3' verdict.txt || fail "$(cat verdict.txt)"

step "a configure script's questions"
"$compiler" --version | grep -q Debian || fail "--version"
"$compiler" -dumpmachine > /dev/null
"$compiler" -print-prog-name=ld | grep -q libexec || fail "-print-prog-name"
"$compiler" -v > /dev/null 2>&1 || fail "-v"

if command -v cmake > /dev/null && command -v make > /dev/null; then
  step "a CMake project"
  mkdir project
  cat > project/CMakeLists.txt << 'SOURCE'
cmake_minimum_required(VERSION 3.20)
project(p C CXX)
include(CheckFunctionExists)
check_function_exists(getpid HAVE_GETPID)
check_function_exists(no_such_function HAVE_NOTHING)
if(NOT HAVE_GETPID OR HAVE_NOTHING)
  message(FATAL_ERROR "checks")
endif()
add_library(part STATIC ../part.c)
add_executable(p ../main.c)
target_include_directories(p PRIVATE ../include)
target_link_libraries(p part m)
SOURCE
  cmake -S project -B project/build -G "Unix Makefiles" "-DCMAKE_C_COMPILER=$compiler" \
    "-DCMAKE_CXX_COMPILER=$(dirname "$compiler")/zvm-c++" -DCMAKE_BUILD_TYPE=Release \
    > cmake.log 2>&1 || fail "$(tail -20 cmake.log)"
  cmake --build project/build > cmake.log 2>&1 || fail "$(tail -20 cmake.log)"
  verified project/build/p
fi
echo "all steps passed"
