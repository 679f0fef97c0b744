/* A guest that does what its arguments say, one after the other, for tests with real sessions:
 *
 *   cat      copies stdin, input and every /dev/in/... to stdout and every /dev/out/...
 *   upper    the same, in capitals
 *   out TEXT writes TEXT to every /dev/out/...     take N  reads N bytes of every /dev/in/...
 *   err TEXT writes TEXT to stderr                 name    writes argv[0] and a newline to stdout
 *   env NAME writes a variable and a newline to stdout
 *   put N T  writes T to /dev/output at offset N   flood   writes to stdout without end
 *   fill N   touches N bytes of the heap
 *   exit N   fault   loop */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zvm.h>

static char buffer[65536];

static int starts(int32_t channel, const char* prefix) {
  return strncmp(MANIFEST->channels[channel].name, prefix, strlen(prefix)) == 0;
}

static void write_all(const char* prefix, const char* text, int64_t size) {
  for (int32_t c = 0; c < MANIFEST->channels_count; ++c) {
    if (!starts(c, prefix)) continue;
    for (int64_t done = 0; done < size;) {
      const int64_t put = zvm_pwrite(c, text + done, size - done, 0);
      if (put <= 0) zvm_exit(28);
      done += put;
    }
  }
}

static void copy(int upper) {
  for (int32_t c = 0; c < MANIFEST->channels_count; ++c) {
    if (!starts(c, "/dev/stdin") && !starts(c, "/dev/input") && !starts(c, "/dev/in/")) continue;
    int64_t offset = 0, got;
    while ((got = zvm_pread(c, buffer, sizeof buffer, offset)) > 0) {
      offset += got;
      for (int64_t i = 0; upper && i < got; ++i) {
        buffer[i] = (char)toupper((unsigned char)buffer[i]);
      }
      write_all("/dev/stdout", buffer, got);
      write_all("/dev/out/", buffer, got);
    }
    if (got < 0) zvm_exit(5);
  }
}

static void take(int64_t size) {
  for (int32_t c = 0; c < MANIFEST->channels_count; ++c) {
    if (!starts(c, "/dev/in/")) continue;
    for (int64_t done = 0; done < size;) {
      const int64_t got = zvm_pread(c, buffer, size - done, 0);
      if (got <= 0) zvm_exit(5);
      write_all("/dev/stdout", buffer, got);
      done += got;
    }
  }
}

__attribute__((noinline)) void fault_here(volatile int* where) { *where = 1; }

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const char* verb = argv[i];
    const char* next = i + 1 < argc ? argv[i + 1] : "";
    if (strcmp(verb, "cat") == 0) {
      copy(0);
    } else if (strcmp(verb, "upper") == 0) {
      copy(1);
    } else if (strcmp(verb, "out") == 0) {
      write_all("/dev/out/", next, (int64_t)strlen(next)), ++i;
    } else if (strcmp(verb, "take") == 0) {
      take(atoll(next)), ++i;
    } else if (strcmp(verb, "err") == 0) {
      fputs(next, stderr), ++i;
    } else if (strcmp(verb, "name") == 0) {
      puts(argv[0]), fflush(stdout);
    } else if (strcmp(verb, "fill") == 0) {
      const long size = atol(next);
      volatile char* memory = malloc((size_t)size);
      for (long at = 0; at < size; at += 4096) memory[at] = 1;
      ++i;
    } else if (strcmp(verb, "env") == 0) {
      const char* value = getenv(next);
      puts(value != NULL ? value : "(none)"), fflush(stdout), ++i;
    } else if (strcmp(verb, "put") == 0 && i + 2 < argc) {
      for (int32_t c = 0; c < MANIFEST->channels_count; ++c) {
        if (!starts(c, "/dev/output")) continue;
        const int64_t size = (int64_t)strlen(argv[i + 2]);
        if (zvm_pwrite(c, argv[i + 2], size, atoll(next)) != size) zvm_exit(28);
      }
      i += 2;
    } else if (strcmp(verb, "flood") == 0) {
      for (;;) write_all("/dev/stdout", buffer, sizeof buffer);
    } else if (strcmp(verb, "exit") == 0) {
      return atoi(next);
    } else if (strcmp(verb, "fault") == 0) {
      fault_here((int*)16);
    } else if (strcmp(verb, "loop") == 0) {
      for (volatile int forever = 1; forever;) {
      }
    } else {
      fprintf(stderr, "no such verb: %s\n", verb);
      return 127;
    }
  }
  return 0;
}
