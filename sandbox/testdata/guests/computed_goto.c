/* Jumps through a table of labels, and a switch that is one. */
#include <stdio.h>

static int run(const unsigned char* code) {
  static void* const labels[] = {&&add, &&sub, &&twice, &&back, &&stop};
  int value = 0, rounds = 3;
  const unsigned char* at = code;
  goto* labels[*at];
add:
  value += *++at;
  goto* labels[*++at];
sub:
  value -= *++at;
  goto* labels[*++at];
twice:
  value *= 2;
  goto* labels[*++at];
back:
  at = --rounds > 0 ? code : at + 1;
  goto* labels[*at];
stop:
  return value;
}

static int pick(int n) {
  switch (n) {
    case 0:
      return 7;
    case 1:
      return 5;
    case 2:
      return 11;
    case 3:
      return 2;
    case 4:
      return 13;
    case 5:
      return 1;
    default:
      return 0;
  }
}

int main(void) {
  static const unsigned char code[] = {0, 5, 1, 3, 2, 3, 1, 28, 4};
  printf("%d\n", run(code));
  int sum = 0;
  for (volatile int n = -3; n < 9; ++n) sum += pick(n);
  printf("%d\n", sum - 39);
  return 0;
}
