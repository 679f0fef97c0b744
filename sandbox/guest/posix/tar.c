/* Archives: reading tar (ustar, its older form, GNU's long names, pax paths and sizes) into the
 * memory file system, and writing ustar. Source of the format: POSIX pax, section ustar
 * interchange format, and the GNU tar manual's description of 'L', 'K' and base-256 numbers.
 *
 * An archive is read front to back, so a sequential channel will do. The memory file system has no
 * symbolic links: one to a file becomes a further name of that file; one to anything else is left
 * out, and so are devices, FIFOs and what would be in /dev. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images.h"
#include "posix.h"

#define BLOCK 512
#define BUFFER (64 << 10)
#define MAX_NAME 4096 /* of a long name or the value of a pax record, with its NUL */
#define MAX_EXTENSION (64 << 10)

struct header {
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
  char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a block of tar");

/* A symbolic link that waits for its target. */
struct pending {
  struct pending* next;
  char *path, *target;
};

struct archive {
  int channel;
  char* problem;
  char* buffer;
  size_t at, have;
  int64_t position; /* in the channel, of the buffer's end or of what comes next to write */
  char name[MAX_NAME], link[MAX_NAME]; /* from an extension, for the next entry; "" none */
  int64_t size;                        /* the same; -1 none */
  struct pending* links;
};

__attribute__((format(printf, 2, 3))) static long fail(struct archive* a, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(a->problem, ZVM_PROBLEM_SIZE, format, arguments);
  va_end(arguments);
  return -1;
}

/* --- reading --- */

/* Where the next byte is in the archive. */
static int64_t here(const struct archive* a) { return a->position - (int64_t)(a->have - a->at); }

/* Makes `*bytes` point at what is there, at most `limit` bytes. 0 at the end. */
static long peek(struct archive* a, size_t limit, const char** bytes) {
  if (a->at == a->have) {
    const int64_t n = zvm_pread(a->channel, a->buffer, BUFFER, a->position);
    if (n < 0) return fail(a, "cannot read byte %lld: %s", (long long)here(a), strerror((int)-n));
    a->at = 0;
    a->have = (size_t)n;
    a->position += n;
  }
  *bytes = a->buffer + a->at;
  const size_t there = a->have - a->at;
  return (long)(there < limit ? there : limit);
}

/* Exactly `size` bytes to `out`, or to nowhere. 0, or -1. */
static long take(struct archive* a, void* out, int64_t size) {
  while (size > 0) {
    const char* bytes = NULL;
    const long n = peek(a, size > BUFFER ? BUFFER : (size_t)size, &bytes);
    if (n < 0) return n;
    if (n == 0) return fail(a, "the archive ends in the middle, at byte %lld", (long long)here(a));
    if (out != NULL) {
      memcpy(out, bytes, (size_t)n);
      out = (char*)out + n;
    }
    a->at += (size_t)n;
    size -= n;
  }
  return 0;
}

static int64_t padding(int64_t size) { return (BLOCK - size % BLOCK) % BLOCK; }

/* Octal digits, or base 256 when the first bit is set. -1: neither. */
static int64_t number(const char* field, size_t size) {
  uint64_t value = 0;
  if (field[0] & 0x80) {
    for (size_t i = 1; i < size; ++i) {
      if (value >> 54) return -1;
      value = value << 8 | (unsigned char)field[i];
    }
    return (unsigned char)field[0] == 0x80 ? (int64_t)value : -1;
  }
  size_t i = 0;
  while (i < size && field[i] == ' ') ++i;
  for (; i < size && field[i] != '\0' && field[i] != ' '; ++i) {
    if (field[i] < '0' || field[i] > '7') return -1;
    value = value * 8 + (uint64_t)(field[i] - '0');
  }
  return (int64_t)value;
}

static unsigned sum_of(const struct header* header) {
  const unsigned char* bytes = (const unsigned char*)header;
  const size_t from = offsetof(struct header, checksum), to = from + sizeof header->checksum;
  unsigned sum = 0;
  for (size_t i = 0; i < BLOCK; ++i) sum += i >= from && i < to ? ' ' : bytes[i];
  return sum;
}

static bool is_zero(const struct header* header) {
  for (size_t i = 0; i < BLOCK; ++i) {
    if (((const char*)header)[i] != 0) return false;
  }
  return true;
}

static void copy_text(char out[MAX_NAME], const char* text, size_t size) {
  if (size >= MAX_NAME) size = MAX_NAME - 1;
  memcpy(out, text, size);
  out[size] = '\0';
}

/* "LENGTH KEY=VALUE\n" again and again. Keys that mean nothing here are passed over. */
static long read_pax(struct archive* a, char* text) {
  while (*text != '\0') {
    char* rest;
    const unsigned long length = strtoul(text, &rest, 10);
    const size_t left = strlen(text);
    char* equals = strchr(text, '=');
    if (*rest != ' ' || length > left || length < 5 || equals == NULL || equals >= text + length) {
      return fail(a, "a pax header before byte %lld is malformed", (long long)here(a));
    }
    const char* value = equals + 1;
    const size_t size = (size_t)(text + length - 1 - value);
    const size_t key = (size_t)(equals - rest - 1);
    if (key == 4 && memcmp(rest + 1, "path", 4) == 0) copy_text(a->name, value, size);
    if (key == 8 && memcmp(rest + 1, "linkpath", 8) == 0) copy_text(a->link, value, size);
    if (key == 4 && memcmp(rest + 1, "size", 4) == 0) a->size = strtoll(value, NULL, 10);
    text += length;
  }
  return 0;
}

/* An entry that says something about the next one. */
static long read_extension(struct archive* a, char type, int64_t size) {
  if (size > MAX_EXTENSION) {
    return fail(a, "a header before byte %lld has %lld bytes; at most %d are read",
                (long long)here(a), (long long)size, MAX_EXTENSION);
  }
  char* text = malloc((size_t)size + 1);
  if (text == NULL) return fail(a, "out of memory");
  long result = take(a, text, size);
  text[size] = '\0';
  if (result == 0 && type == 'L') copy_text(a->name, text, strlen(text));
  if (result == 0 && type == 'K') copy_text(a->link, text, strlen(text));
  if (result == 0 && type == 'x') result = read_pax(a, text);
  free(text);
  return result == 0 ? take(a, NULL, padding(size)) : result;
}

static void make_parents(char* path) {
  for (char* slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    mkdir(path, 0755); /* what is wrong shows when the file is made */
    *slash = '/';
  }
}

static long unpack_file(struct archive* a, const char* path, mode_t mode, int64_t size) {
  unlink(path);
  const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (fd < 0) return fail(a, "cannot make %.300s: %s", path, strerror(errno));
  long result = 0;
  if (ftruncate(fd, size) < 0) {
    result = fail(a, "%.300s: no memory for %lld bytes", path, (long long)size);
  }
  while (result == 0 && size > 0) {
    const char* bytes = NULL;
    const long n = peek(a, size > BUFFER ? BUFFER : (size_t)size, &bytes);
    if (n < 0) {
      result = n;
    } else if (n == 0) {
      result = fail(a, "the archive ends in the middle of %.300s", path);
    } else if (write(fd, bytes, (size_t)n) != n) {
      result = fail(a, "cannot write %.300s: %s", path, strerror(errno));
    } else {
      a->at += (size_t)n;
      size -= n;
    }
  }
  close(fd);
  chmod(path, mode);
  return result;
}

static long keep_link(struct archive* a, const char* path) {
  struct pending* pending = malloc(sizeof *pending);
  char* own_path = strdup(path);
  char* target = malloc(strlen(path) + strlen(a->link) + 2);
  if (pending == NULL || own_path == NULL || target == NULL) return fail(a, "out of memory");
  const char* slash = strrchr(path, '/');
  const int directory = a->link[0] == '/' ? 0 : (int)(slash - path);
  sprintf(target, "%.*s/%s", directory, path, a->link);
  *pending = (struct pending){a->links, own_path, target};
  a->links = pending;
  return 0;
}

/* A link may lead to another, so as long as one of them finds its file, all are tried. */
static void resolve_links(struct archive* a) {
  for (bool progress = true; progress;) {
    progress = false;
    for (struct pending** at = &a->links; *at != NULL;) {
      struct pending* pending = *at;
      struct stat found;
      if (stat(pending->target, &found) < 0 || S_ISDIR(found.st_mode)) {
        at = &pending->next;
        continue;
      }
      unlink(pending->path);
      progress = link(pending->target, pending->path) == 0 || progress;
      *at = pending->next;
      free(pending->path);
      free(pending->target);
      free(pending);
    }
  }
}

static long unpack_entry(struct archive* a, const struct header* header, const char* mountpoint,
                         int64_t size) {
  char path[ZVM_PATH_MAX], absolute[ZVM_PATH_MAX];
  const bool has_prefix = memcmp(header->magic, "ustar", 6) == 0 && header->prefix[0] != '\0';
  const int length = a->name[0] != '\0' ? snprintf(path, sizeof path, "%s/%s", mountpoint, a->name)
                     : has_prefix
                         ? snprintf(path, sizeof path, "%s/%.155s/%.100s", mountpoint,
                                    header->prefix, header->name)
                         : snprintf(path, sizeof path, "%s/%.100s", mountpoint, header->name);
  if (length >= (int)sizeof path || zvm_absolute(AT_FDCWD, path, absolute) < 0) {
    return fail(a, "a name before byte %lld is longer than %d bytes", (long long)here(a),
                ZVM_PATH_MAX - 1);
  }
  if (a->link[0] == '\0') copy_text(a->link, header->link, strnlen(header->link, 100));
  const mode_t mode = (mode_t)number(header->mode, sizeof header->mode) & 07777;
  const int64_t seconds = number(header->mtime, sizeof header->mtime);
  const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
  long result = 0;
  if (zvm_is_dev_path(absolute)) return take(a, NULL, size);
  make_parents(absolute);
  switch (header->type) {
    case '5':
      if (mkdir(absolute, mode) < 0 && errno != EEXIST) {
        return fail(a, "cannot make %.300s: %s", absolute, strerror(errno));
      }
      chmod(absolute, mode);
      break;
    case '1':
      unlink(absolute);
      if (snprintf(path, sizeof path, "%s/%s", mountpoint, a->link) >= (int)sizeof path ||
          link(path, absolute) < 0) {
        return fail(a, "cannot link %.200s to %.200s: %s", absolute, path, strerror(errno));
      }
      break;
    case '2':
      return keep_link(a, absolute);
    case '0':
    case '7':
    case '\0':
      result = unpack_file(a, absolute, mode, size);
      size = 0;
      break;
    default:
      break; /* a device or a FIFO */
  }
  if (result == 0) utimensat(AT_FDCWD, absolute, times, 0);
  return result == 0 ? take(a, NULL, size) : result;
}

/* 1: an entry; 0: the end; -1 */
static long unpack_next(struct archive* a, const char* mountpoint) {
  struct header header;
  const char* bytes = NULL;
  const int64_t start = here(a);
  const long there = peek(a, BLOCK, &bytes);
  if (there <= 0) return there; /* the blocks at the end may be missing */
  if (take(a, &header, BLOCK) < 0) return -1;
  if (is_zero(&header)) return 0;
  int64_t size = number(header.size, sizeof header.size);
  if (number(header.checksum, sizeof header.checksum) != sum_of(&header) || size < 0) {
    return fail(a, "it is not a tar archive at byte %lld: the checksum of the header is wrong%s",
                (long long)start,
                start == 0 ? "; if it is compressed, uncompress it" : "; it is damaged");
  }
  if (header.type == 'L' || header.type == 'K' || header.type == 'x') {
    return read_extension(a, header.type, size) < 0 ? -1 : 1;
  }
  if (header.type == 'g') return take(a, NULL, size + padding(size)) < 0 ? -1 : 1;
  if (a->size >= 0) size = a->size;
  long result = unpack_entry(a, &header, mountpoint, size);
  if (result == 0) result = take(a, NULL, padding(size));
  a->name[0] = a->link[0] = '\0';
  a->size = -1;
  return result < 0 ? -1 : 1;
}

static struct archive* new_archive(int channel, char* problem) {
  struct archive* a = calloc(1, sizeof *a);
  if (a != NULL && (a->buffer = malloc(BUFFER)) == NULL) {
    free(a);
    a = NULL;
  }
  if (a == NULL) {
    snprintf(problem, ZVM_PROBLEM_SIZE, "out of memory");
    return NULL;
  }
  a->channel = channel;
  a->problem = problem;
  a->size = -1;
  return a;
}

static void free_archive(struct archive* a) {
  while (a->links != NULL) {
    struct pending* first = a->links;
    a->links = first->next;
    free(first->path);
    free(first->target);
    free(first);
  }
  free(a->buffer);
  free(a);
}

long zvm_tar_unpack(int channel, const char* mountpoint, char problem[ZVM_PROBLEM_SIZE]) {
  struct archive* a = new_archive(channel, problem);
  if (a == NULL) return -1;
  const char* root = strcmp(mountpoint, "/") == 0 ? "" : mountpoint;
  long entries = 0, result;
  while ((result = unpack_next(a, root)) > 0) ++entries;
  if (result == 0) resolve_links(a);
  free_archive(a);
  return result < 0 ? -1 : entries;
}

/* --- writing --- */

static long flush(struct archive* a) {
  for (size_t done = 0; done < a->have;) {
    const int64_t n =
        zvm_pwrite(a->channel, a->buffer + done, (int64_t)(a->have - done), a->position);
    if (n <= 0) {
      return fail(a, "cannot write byte %lld: %s", (long long)a->position, strerror((int)-n));
    }
    done += (size_t)n;
    a->position += n;
  }
  a->have = 0;
  return 0;
}

/* `bytes` null: zeros. */
static long put(struct archive* a, const void* bytes, size_t size) {
  while (size > 0) {
    const size_t n = size < BUFFER - a->have ? size : BUFFER - a->have;
    if (bytes == NULL) {
      memset(a->buffer + a->have, 0, n);
    } else {
      memcpy(a->buffer + a->have, bytes, n);
      bytes = (const char*)bytes + n;
    }
    a->have += n;
    size -= n;
    if (a->have == BUFFER && flush(a) < 0) return -1;
  }
  return 0;
}

static long put_header(struct archive* a, const char* name, char type, const struct stat* status) {
  struct header header = {.type = type, .magic = "ustar", .version = {'0', '0'}};
  const int64_t size = type == '5' ? 0 : status->st_size;
  const size_t length = strlen(name);
  if (length > sizeof header.name) {
    struct stat of_name = {.st_size = (off_t)length + 1};
    if (put_header(a, "././@LongLink", 'L', &of_name) < 0 || put(a, name, length + 1) < 0 ||
        put(a, NULL, (size_t)padding((int64_t)length + 1)) < 0) {
      return -1;
    }
  }
  memcpy(header.name, name, length < sizeof header.name ? length : sizeof header.name);
  snprintf(header.mode, sizeof header.mode, "%07o", (unsigned)status->st_mode & 07777u);
  snprintf(header.uid, sizeof header.uid, "%07o", 1000u);
  snprintf(header.gid, sizeof header.gid, "%07o", 1000u);
  /* A guest has at most 4 GiB, which 11 octal digits hold. */
  snprintf(header.size, sizeof header.size, "%011llo", (unsigned long long)size);
  snprintf(header.mtime, sizeof header.mtime, "%011llo",
           (unsigned long long)status->st_mtim.tv_sec & 077777777777ull);
  snprintf(header.checksum, sizeof header.checksum, "%06o", sum_of(&header));
  header.checksum[7] = ' ';
  return put(a, &header, sizeof header);
}

static long pack_file(struct archive* a, const char* path, int64_t size) {
  const int fd = open(path, O_RDONLY);
  if (fd < 0) return fail(a, "cannot open %.300s: %s", path, strerror(errno));
  static char piece[4096];
  long result = 0;
  for (int64_t left = size; result == 0 && left > 0;) {
    const ssize_t n = read(fd, piece, left < (int64_t)sizeof piece ? (size_t)left : sizeof piece);
    result = n <= 0 ? fail(a, "cannot read %.300s", path) : put(a, piece, (size_t)n);
    left -= n;
  }
  close(fd);
  return result == 0 ? put(a, NULL, (size_t)padding(size)) : result;
}

/* What is in `path`, whose first `skip` bytes are not part of the names. Returns entries or -1. */
static long pack_directory(struct archive* a, const char* path, size_t skip) {
  DIR* directory = opendir(path);
  if (directory == NULL) return fail(a, "cannot open %.300s: %s", path, strerror(errno));
  long entries = 0, result = 0;
  for (struct dirent* entry; result == 0 && (entry = readdir(directory)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    char* name;
    if (asprintf(&name, "%s/%s", path, entry->d_name) < 0) {
      result = fail(a, "out of memory");
      break;
    }
    struct stat status;
    if (stat(name, &status) < 0) {
      result = fail(a, "%.300s: %s", name, strerror(errno));
    } else if (S_ISDIR(status.st_mode)) {
      result = put_header(a, name + skip, '5', &status);
      const long inside = result == 0 ? pack_directory(a, name, skip) : -1;
      if (inside < 0) result = -1;
      entries += inside;
    } else {
      result = put_header(a, name + skip, '0', &status);
      if (result == 0) result = pack_file(a, name, status.st_size);
    }
    ++entries;
    free(name);
  }
  closedir(directory);
  return result < 0 ? -1 : entries;
}

long zvm_tar_pack(int channel, const char* directory, char problem[ZVM_PROBLEM_SIZE]) {
  struct archive* a = new_archive(channel, problem);
  if (a == NULL) return -1;
  long entries = pack_directory(a, directory, strlen(directory) + 1);
  if (entries >= 0 && (put(a, NULL, (size_t)2 * BLOCK) < 0 || flush(a) < 0)) entries = -1;
  free_archive(a);
  return entries;
}
