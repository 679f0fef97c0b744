// A guest that does what its first argument says.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zvm.h>

static long Copy(FILE* from, FILE* to) {
  char piece[65536];
  long total = 0;
  size_t count;
  while ((count = fread(piece, 1, sizeof(piece), from)) > 0) {
    if (fwrite(piece, 1, count, to) != count) exit(9);
    total += (long)count;
  }
  return total;
}

// Everything from every /dev/in/*, in order of name.
static void Gather(void) {
  for (int i = 0; i < MANIFEST->channels_count; ++i) {
    const char* name = MANIFEST->channels[i].name;
    if (strncmp(name, "/dev/in/", 8) != 0) continue;
    FILE* from = fopen(name, "r");
    if (from == NULL) exit(8);
    Copy(from, stdout);
    fclose(from);
  }
}

// Its name and what it read, to every /dev/out/*.
static void Scatter(void) {
  char line[4096] = "";
  const size_t length = fread(line, 1, sizeof(line), stdin);
  for (int i = 0; i < MANIFEST->channels_count; ++i) {
    const char* name = MANIFEST->channels[i].name;
    if (strncmp(name, "/dev/out/", 9) != 0) continue;
    FILE* to = fopen(name, "w");
    if (to == NULL) exit(8);
    fprintf(to, "%s:%.*s\n", getenv("SESSION_NAME"), (int)length, line);
    fclose(to);
  }
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "cat";
  if (strcmp(what, "cat") == 0) Copy(stdin, stdout);
  if (strcmp(what, "name") == 0) printf("%s\n", getenv("SESSION_NAME"));
  if (strcmp(what, "gather") == 0) Gather();
  if (strcmp(what, "scatter") == 0) Scatter();
  if (strcmp(what, "endless-output") == 0) {
    while (puts("more and more and more") >= 0) {
    }
    return 5;
  }
  if (strcmp(what, "spin") == 0) {
    for (volatile long turn = 0;; ++turn) {
    }
  }
  if (strcmp(what, "crash") == 0) {
    volatile int* volatile nowhere = NULL;
    *nowhere = 1;
  }
  if (strcmp(what, "fail") == 0) {
    for (int i = 0; i < 20000; ++i) fprintf(stderr, "line %d of a long complaint\n", i);
    fprintf(stderr, "the last words\n");
    return 7;
  }
  return 0;
}
