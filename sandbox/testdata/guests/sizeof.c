/* The sizes and alignments of docs/abi.md, as the compiler and the C library see them. */
#include <complex.h>
#include <setjmp.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <wchar.h>
#include <zvm.h>

#define SHOW(type) printf("%-22s %3zu %2zu\n", #type, sizeof(type), alignof(type))

int main(void) {
  SHOW(_Bool);
  SHOW(char);
  SHOW(short);
  SHOW(int);
  SHOW(long);
  SHOW(long long);
  SHOW(__int128);
  SHOW(float);
  SHOW(double);
  SHOW(long double);
  SHOW(double complex);
  SHOW(void*);
  SHOW(void (*)(void));
  SHOW(size_t);
  SHOW(ptrdiff_t);
  SHOW(intmax_t);
  SHOW(wchar_t);
  SHOW(wint_t);
  SHOW(time_t);
  SHOW(off_t);
  SHOW(ino_t);
  SHOW(max_align_t);
  SHOW(struct timespec);
  SHOW(struct ZVMChannel);
  printf("%-22s %3zu\n", "bits of a char", sizeof(char) * 8);
  printf("%-22s %s\n", "char is", (char)-1 < 0 ? "signed" : "unsigned");
  printf("%-22s %s\n", "first byte of 1", *(const char*)&(const int){1} ? "1" : "0");
  return 0;
}
