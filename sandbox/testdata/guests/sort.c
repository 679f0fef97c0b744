/* Calls through pointers: qsort, bsearch, atexit, a table of functions. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void* a, const void* b) {
  const int x = *(const int*)a, y = *(const int*)b;
  return (x > y) - (x < y);
}

static int by_text(const void* a, const void* b) {
  return strcmp(*(const char* const*)a, *(const char* const*)b);
}

static int add(int a, int b) { return a + b; }
static int sub(int a, int b) { return a - b; }
static int mul(int a, int b) { return a * b; }

static void first(void) { puts("registered first, runs last"); }
static void second(void) { puts("registered second, runs first"); }

int main(void) {
  static int numbers[20000];
  unsigned x = 12345;
  for (int i = 0; i < 20000; ++i)
    numbers[i] = (int)((x = x * 1103515245u + 12345u) >> 4 & 0xffffff);
  qsort(numbers, 20000, sizeof numbers[0], by_value);
  for (int i = 1; i < 20000; ++i) {
    if (numbers[i - 1] > numbers[i]) return puts("not sorted"), 1;
  }
  const int* found = bsearch(&numbers[777], numbers, 20000, sizeof numbers[0], by_value);
  printf("%d %d %d\n", numbers[0], numbers[19999], found != NULL && *found == numbers[777]);

  const char* words[] = {"pear", "apple", "fig", "banana"};
  qsort(words, 4, sizeof words[0], by_text);
  for (int i = 0; i < 4; ++i) printf("%s ", words[i]);
  int (*const table[])(int, int) = {add, sub, mul};
  for (int i = 0; i < 3; ++i) printf("%d ", table[i](7, 5));
  putchar('\n');
  atexit(first);
  atexit(second);
  return 0;
}
