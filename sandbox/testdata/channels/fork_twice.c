/* Forks twice and counts in a callee-saved place what each session added. */
#include <zvm.h>

int main(void) {
  volatile int sum = 5;
  if (zvm_fork() != 0) return 1;
  sum += 4;
  if (zvm_fork() != 0) return 2;
  sum += 3;
  return sum;
}
