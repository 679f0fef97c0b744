/* Prints what a session is given: arguments, environment and connections, one a line. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

extern char** environ;

static void list(const char* directory) {
  DIR* entries = opendir(directory);
  const struct dirent* entry;
  while (entries != NULL && (entry = readdir(entries)) != NULL) {
    if (entry->d_name[0] != '.') printf("%s/%s\n", directory, entry->d_name);
  }
  if (entries != NULL) closedir(entries);
}

int main(int argc, char** argv) {
  for (int i = 0; i < argc; ++i) printf("arg %d %s\n", i, argv[i]);
  for (char** variable = environ; *variable != NULL; ++variable) printf("env %s\n", *variable);
  list("/dev/in");
  list("/dev/out");
  return 0;
}
