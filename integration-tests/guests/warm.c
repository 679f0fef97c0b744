/* A guest that starts slowly and serves quickly: reads /base.txt, forks if its first argument says
 * so, and then tells what its session gave it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zrt.h>

static void tell(const char* path) {
  char line[80] = "none";
  FILE* file = fopen(path, "r");
  if (file != NULL && fgets(line, sizeof line, file) == NULL) strcpy(line, "empty");
  if (file != NULL) fclose(file);
  printf("%s: %s\n", path, line);
}

int main(int argc, char** argv) {
  tell("/base.txt");
  printf("before, ");
  if (argc > 1 && strcmp(argv[1], "fork") == 0) zfork();
  const char* name = getenv("NAME");
  printf("argument %s, NAME=%s\n", argc > 2 ? argv[2] : "none", name == NULL ? "" : name);
  tell("/session.txt");
  return 7;
}
