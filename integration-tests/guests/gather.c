/* Prints each connection's name and what came over it: "NAME: TEXT". */
#include <dirent.h>
#include <stdio.h>

int main(void) {
  DIR* entries = opendir("/dev/in");
  const struct dirent* entry;
  while (entries != NULL && (entry = readdir(entries)) != NULL) {
    char path[300], text[256];
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/dev/in/%s", entry->d_name);
    FILE* in = fopen(path, "r");
    if (in == NULL) {
      perror(path);
      return 1;
    }
    const size_t got = fread(text, 1, sizeof text - 1, in);
    text[got] = '\0';
    printf("%s: %s\n", entry->d_name, text);
    fclose(in);
  }
  if (entries != NULL) closedir(entries);
  return 0;
}
