/* The file system in memory: everything that is not in /dev. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char* error_name(int error) {
  switch (error) {
    case EBADF:
      return "EBADF";
    case EEXIST:
      return "EEXIST";
    case ENOENT:
      return "ENOENT";
    case ENOTDIR:
      return "ENOTDIR";
    case EISDIR:
      return "EISDIR";
    case EINVAL:
      return "EINVAL";
    case EACCES:
      return "EACCES";
    case EPERM:
      return "EPERM";
    case ENOTEMPTY:
      return "ENOTEMPTY";
    default:
      return "another";
  }
}

static void list(const char* path) {
  printf("%s:", path);
  DIR* directory = opendir(path);
  for (struct dirent* entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
    printf(" %s%s", entry->d_name, entry->d_type == DT_DIR ? "/" : "");
  }
  if (directory != NULL) closedir(directory);
  putchar('\n');
}

static const char* result(int value) { return value == 0 ? "ok" : error_name(errno); }

int main(void) {
  char buffer[300];
  struct stat found;
  list("/");
  printf("mkdir %s", result(mkdir("/work", 0755)));
  printf(", again %s", result(mkdir("/work", 0755)));
  printf(", without parent %s\n", result(mkdir("/no/where", 0755)));
  printf("chdir %s", result(chdir("/work/../work/.")));
  printf(" %s\n", getcwd(buffer, sizeof buffer));

  FILE* file = fopen("notes.txt", "w+");
  for (int i = 0; i < 3000; ++i) fprintf(file, "line %d\n", i);
  fseek(file, 100, SEEK_SET);
  fgets(buffer, sizeof buffer, file);
  printf("at 100: %s", buffer);
  fclose(file);
  stat("/work/notes.txt", &found);
  printf("size %lld mode %o links %d\n", (long long)found.st_size, found.st_mode & 07777,
         (int)found.st_nlink);

  printf("link %s", result(link("notes.txt", "other.txt")));
  printf(", rename %s", result(rename("notes.txt", "renamed.txt")));
  printf(", onto itself %s", result(rename("/work", "/work/inside")));
  printf(", rmdir full %s", result(rmdir("/work")));
  printf(", unlink directory %s\n", result(unlink("/work")));
  list("/work");

  int fd = open("other.txt", O_RDWR);
  printf("unlink open %s", result(unlink("other.txt")));
  printf(", truncate %s", result(ftruncate(fd, 10)));
  printf(", write past the end %zd", pwrite(fd, "end", 3, 5000));
  memset(buffer, 'x', 100);
  printf(", hole %zd", pread(fd, buffer, 20, 4000));
  printf(" %d", buffer[0]);
  printf(", size %lld\n", (long long)lseek(fd, 0, SEEK_END));
  const int same = dup(fd);
  lseek(fd, 2, SEEK_SET);
  printf("dup %zd", read(same, buffer, 4));
  printf(" %.4s\n", buffer);
  char* map = mmap(NULL, 5003, PROT_READ, MAP_PRIVATE, fd, 0);
  printf("mmap %.4s %.3s\n", map, map + 5000);
  munmap(map, 5003);
  close(fd);
  printf("read closed %s\n", result((int)read(fd, buffer, 1)));
  close(same);

  fd = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);
  for (int i = 0; i < 3; ++i) {
    lseek(fd, 0, SEEK_SET);
    if (write(fd, "again ", 6) != 6) return 1;
  }
  close(fd);
  fd = open("log", O_RDONLY);
  buffer[read(fd, buffer, 99)] = '\0';
  printf("%s, write read-only %s\n", buffer, result((int)write(fd, "x", 1)));
  close(fd);
  printf("exclusive %s", result(open("log", O_CREAT | O_EXCL | O_WRONLY, 0600) < 0 ? -1 : 0));
  printf(", missing %s", result(open("nothing", O_RDONLY) < 0 ? -1 : 0));
  chmod("log", 0444);
  printf(", not writable %s", result(open("log", O_WRONLY) < 0 ? -1 : 0));
  printf(", not a directory %s\n", result(open("log/x", O_RDONLY) < 0 ? -1 : 0));

  FILE* temporary = tmpfile();
  fputs("scratch", temporary);
  rewind(temporary);
  printf("tmpfile %s", fgets(buffer, 50, temporary));
  char real[4096];
  printf(" %s\n", realpath("/work//./log", real));
  fclose(temporary);
  char name[] = "/tmp/d.XXXXXX";
  printf("mkdtemp %d", mkdtemp(name) != NULL);
  printf(" %s\n", result(rmdir(name)));

  mkdir("many", 0700);
  for (int i = 99; i >= 0; --i) {
    snprintf(buffer, sizeof buffer, "many/f%02d", i);
    close(open(buffer, O_CREAT | O_WRONLY, 0644));
  }
  DIR* directory = opendir("many");
  int count = 0;
  for (struct dirent* entry; (entry = readdir(directory)) != NULL; ++count) {
    if (entry->d_name[0] == '.') continue;
    snprintf(buffer, sizeof buffer, "many/%s", entry->d_name);
  }
  printf("%d entries, last %s\n", count, buffer);
  rewinddir(directory);
  for (struct dirent* entry; (entry = readdir(directory)) != NULL;) {
    if (entry->d_name[0] == '.') continue;
    snprintf(buffer, sizeof buffer, "many/%s", entry->d_name);
    unlink(buffer);
  }
  closedir(directory);
  printf("emptied %s\n", result(rmdir("many")));
  return 0;
}
