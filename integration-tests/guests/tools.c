/* A few commands in one guest, for tests of zvsh: tools COMMAND ARGUMENTS... */
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char* what) {
  perror(what);
  return 1;
}

static int cat(const char* path) {
  FILE* file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
  if (file == NULL) return fail(path);
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, file)) > 0;) fwrite(buffer, 1, n, stdout);
  return ferror(file) || fflush(stdout) != 0 ? fail(path) : 0;
}

static int put(const char* path, const char* mode, const char* text) {
  FILE* file = fopen(path, mode);
  if (file == NULL || fseek(file, 0, SEEK_END) != 0 || fputs(text, file) < 0 || fclose(file) != 0) {
    return fail(path);
  }
  return 0;
}

static int list(const char* path) {
  DIR* directory = opendir(path);
  if (directory == NULL) return fail(path);
  for (struct dirent* entry; (entry = readdir(directory)) != NULL;) {
    if (entry->d_name[0] == '.') continue;
    char name[4096];
    snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
    struct stat status;
    if (stat(name, &status) != 0) return fail(name);
    printf("%s %o %ld %ld\n", entry->d_name, status.st_mode & 07777u,
           S_ISDIR(status.st_mode) ? -1l : (long)status.st_size, (long)status.st_nlink);
  }
  closedir(directory);
  return 0;
}

int main(int argc, char** argv) {
  const char* command = argc > 1 ? argv[1] : "";
  const char* first = argc > 2 ? argv[2] : "";
  const char* second = argc > 3 ? argv[3] : "";
  if (strcmp(command, "echo") == 0) {
    for (int i = 0; i < argc; ++i) printf("<%s>\n", argv[i]);
  } else if (strcmp(command, "env") == 0) {
    for (char** variable = environ; *variable != NULL; ++variable) puts(*variable);
  } else if (strcmp(command, "cat") == 0) {
    for (int i = 2; i < argc; ++i) {
      if (cat(argv[i]) != 0) return 1;
    }
  } else if (strcmp(command, "append") == 0) {
    return put(first, "r+", second);
  } else if (strcmp(command, "make") == 0) {
    return put(first, "w", second);
  } else if (strcmp(command, "mkdir") == 0) {
    return mkdir(first, 0700) == 0 ? 0 : fail(first);
  } else if (strcmp(command, "ls") == 0) {
    return list(first);
  } else if (strcmp(command, "tty") == 0) {
    printf("%d %d %d\n", isatty(0), isatty(1), isatty(2));
  } else if (strcmp(command, "exit") == 0) {
    exit(atoi(first));
  } else if (strcmp(command, "fault") == 0) {
    *(volatile char*)0 = 1;
  } else if (strcmp(command, "loop") == 0) {
    for (;;) __asm__ volatile("");
  } else if (strcmp(command, "yes") == 0) {
    while (puts("yes") >= 0) continue;
  } else if (strcmp(command, "error") == 0) {
    fputs("to the error stream\n", stderr);
  } else {
    fprintf(stderr, "no command %s\n", command);
    return 99;
  }
  return 0;
}
