/* copy FROM TO...: copies one channel to others, all of it; "-" is standard input or output.
 * copy --wait FROM TO...: computes for some seconds first, with FROM open. */
#include <stdio.h>
#include <string.h>

int main(int argc, char** argv) {
  static char buffer[1 << 16];
  FILE* to[16];
  int first = 1;
  const int is_late = argc > 1 && strcmp(argv[1], "--wait") == 0;
  if (is_late) ++first;
  if (argc < first + 2 || argc - first > 16) return 2;
  FILE* from = strcmp(argv[first], "-") == 0 ? stdin : fopen(argv[first], "r");
  if (from == NULL) {
    perror(argv[first]);
    return 1;
  }
  const int outputs = argc - first - 1;
  for (int i = 0; i < outputs; ++i) {
    const char* name = argv[first + 1 + i];
    to[i] = strcmp(name, "-") == 0 ? stdout : fopen(name, "w");
    if (to[i] == NULL) {
      perror(name);
      return 1;
    }
  }
  if (is_late) {
    for (volatile unsigned long i = 0; i < 1000000000UL; ++i) continue;
  }
  size_t got;
  while ((got = fread(buffer, 1, sizeof buffer, from)) > 0) {
    for (int i = 0; i < outputs; ++i) {
      if (fwrite(buffer, 1, got, to[i]) != got) {
        perror(argv[first + 1 + i]);
        return 1;
      }
    }
  }
  for (int i = 0; i < outputs; ++i) {
    if (fclose(to[i]) != 0) {
      perror(argv[first + 1 + i]);
      return 1;
    }
  }
  return ferror(from) ? 1 : 0;
}
