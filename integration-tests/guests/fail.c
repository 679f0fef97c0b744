/* fail HOW: ends badly, after a line on each of stdout and stderr.
 *
 *   exit CODE     ends with that code
 *   null          writes to the null page, in a function called touch_null
 *   trap          executes an undefined instruction
 *   loop          never ends
 *   stderr LINES  writes so many numbered lines of 64 bytes to stderr and ends with code 9
 *   session NAME  ends with code 5 in that session, well in others
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noinline)) void touch_null(int* where) { *where = 1; }

int main(int argc, char** argv) {
  const char* how = argc > 1 ? argv[1] : "";
  const char* what = argc > 2 ? argv[2] : "0";
  puts("said before the end");
  fflush(stdout);
  if (strcmp(how, "stderr") != 0) fprintf(stderr, "about to: %s\n", how);
  if (strcmp(how, "exit") == 0) return atoi(what);
  if (strcmp(how, "null") == 0) {
    int* volatile nowhere = NULL;
    touch_null(nowhere);
  }
  if (strcmp(how, "trap") == 0) __builtin_trap();
  if (strcmp(how, "loop") == 0) {
    for (volatile int i = 0;; i = !i) continue;
  }
  if (strcmp(how, "stderr") == 0) {
    for (int i = 1; i <= atoi(what); ++i) fprintf(stderr, "line %-58d\n", i);
    return 9;
  }
  if (strcmp(how, "session") == 0) {
    const char* self = getenv("SESSION_NAME");
    return self != NULL && strcmp(self, what) == 0 ? 5 : 0;
  }
  return 1;
}
