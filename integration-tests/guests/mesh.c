/* Tells every connected session its name, then hears theirs: "OWN heard OTHER". Messages have one
 * length: a read waits for all of what it asks for, and none of the others ends before this one.
 * mesh --wait: computes for some seconds between the two. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kMessage = 64 };

static int each(const char* directory, int mode, const char* self) {
  DIR* entries = opendir(directory);
  const struct dirent* entry;
  while (entries != NULL && (entry = readdir(entries)) != NULL) {
    char path[300], message[kMessage] = "";
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
    const int file = open(path, mode);
    if (mode == O_WRONLY) snprintf(message, sizeof message, "%s", self);
    const ssize_t moved = mode == O_WRONLY ? write(file, message, sizeof message)
                                           : read(file, message, sizeof message);
    if (moved != kMessage) {
      perror(path);
      return 1;
    }
    if (mode == O_RDONLY) printf("%s heard %s\n", self, message);
    close(file);
  }
  if (entries != NULL) closedir(entries);
  return 0;
}

int main(int argc, char** argv) {
  const char* self = getenv("SESSION_NAME");
  if (each("/dev/out", O_WRONLY, self) != 0) return 1;
  if (argc > 1 && strcmp(argv[1], "--wait") == 0) {
    for (volatile unsigned long i = 0; i < 1000000000UL; ++i) continue;
  }
  return each("/dev/in", O_RDONLY, self);
}
