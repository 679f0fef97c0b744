/* The channels that the manifest gives, as files.
 *
 * A channel that is sequential for reading has no read position, and so for writing; a random one
 * is read and written where the file's position is. What is written to a channel with sequential
 * put goes to its end. The host counts and limits; its errno comes back as it is. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "posix.h"

#define MAX_CHANNELS 16384 /* the host has fewer */
#define STANDARD 3         /* these come first; the others are in byte order of their aliases */
#define FIRST_INODE 1000   /* of channels; devices and /dev are below */

static char kinds[MAX_CHANNELS]; /* of nvram's [mapping]: 'p'ipe, 'c'har, 'f'ile; 0: by type */
static int64_t written_to[MAX_CHANNELS]; /* highest end of what was written */

static int count(void) {
  return MANIFEST->channels_count < MAX_CHANNELS ? MANIFEST->channels_count : MAX_CHANNELS;
}

/* The host's record may be longer than ours. */
static const struct ZVMChannel* get(int channel) {
  return (const struct ZVMChannel*)((const char*)MANIFEST->channels +
                                    (size_t)channel * MANIFEST->channel_size);
}

static bool can_read(const struct ZVMChannel* c) {
  return c->limits[GetsLimit] > 0 && c->limits[GetSizeLimit] > 0;
}
static bool can_write(const struct ZVMChannel* c) {
  return c->limits[PutsLimit] > 0 && c->limits[PutSizeLimit] > 0;
}
static bool random_get(const struct ZVMChannel* c) { return c->type & RGetSPut; }
static bool random_put(const struct ZVMChannel* c) { return c->type & SGetRPut; }
static bool sequential(const struct ZVMChannel* c) { return c->type == SGetSPut; }

/* The first channel after the standard ones whose alias is not below `alias`. */
static int lower_bound(const char* alias) {
  int low = count() < STANDARD ? count() : STANDARD, high = count();
  while (low < high) {
    const int middle = low + (high - low) / 2;
    if (strcmp(get(middle)->name, alias) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

int zvm_find_channel(const char* alias) {
  for (int i = 0; i < STANDARD && i < count(); ++i) {
    if (strcmp(get(i)->name, alias) == 0) return i;
  }
  const int found = lower_bound(alias);
  return found < count() && strcmp(get(found)->name, alias) == 0 ? found : -1;
}

int zvm_channels_below(const char* path) {
  char first[ZVM_PATH_MAX + 1];
  const size_t length = strlen(path);
  memcpy(first, path, length);
  memcpy(first + length, "/", 2);
  const int found = lower_bound(first);
  return found < count() && strncmp(get(found)->name, first, length + 1) == 0 ? found : -1;
}

int zvm_channel_count(void) { return count(); }
const char* zvm_channel_name(int channel) { return get(channel)->name; }

void zvm_map_channel(const char* alias, const char* mode) {
  const int channel = zvm_find_channel(alias);
  if (channel >= 0 && (*mode == 'p' || *mode == 'c' || *mode == 'f')) kinds[channel] = *mode;
}

bool zvm_is_terminal(const struct file* file) {
  return file->channel >= 0 && kinds[file->channel] == 'c';
}

static int64_t size_now(int channel) {
  const int64_t size = get(channel)->size;
  return written_to[channel] > size ? written_to[channel] : size;
}

/* The bytes of a mapped channel at `offset`, and how many there are; null if it is not mapped. */
static const char* mapped_at(const struct ZVMChannel* c, int64_t offset, uint64_t* left) {
  /* An older host has shorter records, without these fields. */
  if (MANIFEST->channel_size < sizeof *c || c->map == NULL || offset < 0) return NULL;
  *left = (uint64_t)offset < c->map_size ? c->map_size - (uint64_t)offset : 0;
  return (const char*)c->map + (*left == 0 ? 0 : offset);
}

const void* zvm_channel_map(const struct file* file, int64_t offset, size_t size) {
  uint64_t left;
  if (file->channel < 0) return NULL;
  const char* bytes = mapped_at(get(file->channel), offset, &left);
  /* Pages behind the last one of the file are not there. */
  return bytes == NULL || size > (left + 4095) / 4096 * 4096 ? NULL : bytes;
}

bool zvm_in_channel_map(const void* address, size_t size) {
  if (MANIFEST->channel_size < sizeof(struct ZVMChannel)) return false;
  for (int i = 0; i < count(); ++i) {
    const struct ZVMChannel* c = get(i);
    const uintptr_t start = (uintptr_t)address - (uintptr_t)c->map;
    const uint64_t mapped = (c->map_size + 4095) / 4096 * 4096;
    if (c->map != NULL && start < mapped && size <= mapped - start) return true;
  }
  return false;
}

static long channel_read(struct file* file, void* buffer, size_t size, int64_t offset) {
  if (size == 0) return 0;
  uint64_t left;
  const char* bytes = mapped_at(get(file->channel), offset, &left);
  if (bytes != NULL) {
    if (size > left) size = left;
    memcpy(buffer, bytes, size);
    return (long)size;
  }
  return zvm_pread(file->channel, buffer, (int64_t)size,
                   random_get(get(file->channel)) ? offset : 0);
}

static long channel_write(struct file* file, const void* buffer, size_t size, int64_t offset) {
  if (size == 0) return 0;
  const struct ZVMChannel* c = get(file->channel);
  if (!random_put(c)) offset = size_now(file->channel);
  const long n = zvm_pwrite(file->channel, buffer, (int64_t)size, random_put(c) ? offset : 0);
  if (n > 0 && offset + n > written_to[file->channel]) written_to[file->channel] = offset + n;
  return n;
}

void zvm_channel_stat(int channel, struct kernel_stat* out) {
  const struct ZVMChannel* c = get(channel);
  unsigned kind = sequential(c) ? S_IFIFO : S_IFBLK;
  if (kinds[channel] == 'p') kind = S_IFIFO;
  if (kinds[channel] == 'c') kind = S_IFCHR;
  if (kinds[channel] == 'f') kind = S_IFREG;
  out->st_dev = makedev(8, 1);
  out->st_ino = FIRST_INODE + (unsigned)channel;
  out->st_nlink = 1;
  out->st_mode = kind | (can_read(c) ? 0444 : 0) | (can_write(c) ? 0222 : 0);
  out->st_uid = out->st_gid = 1000;
  out->st_size = sequential(c) ? 0 : size_now(channel);
  out->st_blksize = 65536; /* one call to the host for this much */
  out->st_blocks = (out->st_size + 511) / 512;
}

static long channel_stat(struct file* file, struct kernel_stat* out) {
  zvm_channel_stat(file->channel, out);
  return 0;
}

static int64_t channel_size(struct file* file) { return size_now(file->channel); }

static long channel_truncate(struct file* file, int64_t size) {
  return sequential(get(file->channel)) || size == size_now(file->channel) ? 0 : -EPERM;
}

static const struct file_operations sequential_operations = {.read = channel_read,
                                                             .write = channel_write,
                                                             .stat = channel_stat,
                                                             .truncate = channel_truncate};
static const struct file_operations random_operations = {.read = channel_read,
                                                         .write = channel_write,
                                                         .stat = channel_stat,
                                                         .size = channel_size,
                                                         .truncate = channel_truncate};

static void fill_file(struct file* file, int channel, int flags) {
  *file = (struct file){.references = 1, .flags = flags, .channel = channel, .device = -1};
  file->operations = sequential(get(channel)) ? &sequential_operations : &random_operations;
}

/* A file that is overwritten by the next call: the caller copies it. There may be no heap yet. */
struct file* zvm_channel_file(int channel, int flags) {
  static struct file file;
  if (channel >= count()) return NULL;
  fill_file(&file, channel, flags);
  return &file;
}

long zvm_read_channel(int channel, char* buffer, size_t limit) {
  size_t done = 0;
  while (done < limit) {
    const int64_t n = zvm_pread(channel, buffer + done, (int64_t)(limit - done), (int64_t)done);
    if (n < 0) return n;
    if (n == 0) break;
    done += (size_t)n;
  }
  return (long)done;
}

static long may_open(int channel, int flags) {
  const struct ZVMChannel* c = get(channel);
  const int mode = flags & O_ACCMODE;
  if (mode != O_WRONLY && !can_read(c)) return -EACCES;
  if (mode != O_RDONLY && !can_write(c)) return -EACCES;
  if (flags & O_DIRECTORY) return -ENOTDIR;
  if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL)) return -EEXIST;
  if (mode == O_RDWR && c->type == RGetSPut && !(flags & O_APPEND)) return -EPERM;
  /* What is there cannot be cut off; with nothing there is nothing to cut. */
  if (flags & O_TRUNC && mode != O_RDONLY && !sequential(c) && size_now(channel) > 0) return -EPERM;
  return 0;
}

long zvm_channel_open(int channel, int flags, struct file** out) {
  const long error = may_open(channel, flags);
  if (error < 0) return error;
  *out = zvm_new_file(&random_operations, flags);
  if (*out == NULL) return -ENOMEM;
  fill_file(*out, channel, flags);
  return 0;
}
