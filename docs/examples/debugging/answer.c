#include <stdio.h>

static int square(int number) { return number * number; }

int main(void) {
  int answer = 41;
  answer = square(answer) - 1639;
  printf("the answer is %d\n", answer);
  return 0;
}
