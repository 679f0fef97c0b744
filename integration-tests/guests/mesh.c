/* Tells every connected session its name, then hears theirs: "OWN heard OTHER". */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static int each(const char *directory, const char *mode, const char *self) {
  DIR *entries = opendir(directory);
  const struct dirent *entry;
  while (entries != NULL && (entry = readdir(entries)) != NULL) {
    char path[300], text[128];
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
    FILE *file = fopen(path, mode);
    if (file == NULL) {
      perror(path);
      return 1;
    }
    if (*mode == 'w') {
      fprintf(file, "%s\n", self);
    } else if (fgets(text, sizeof text, file) != NULL) {
      printf("%s heard %s", self, text);
    }
    if (fclose(file) != 0) {
      perror(path);
      return 1;
    }
  }
  if (entries != NULL) closedir(entries);
  return 0;
}

int main(void) {
  const char *self = getenv("SESSION_NAME");
  return each("/dev/out", "w", self) || each("/dev/in", "r", self);
}
