/* The channels that the manifest gives, as files; and /dev, the directory that they and the devices
 * are in.
 *
 * A channel that is sequential for reading has no read position, and so for writing; a random one
 * is read and written where the file's position is. What is written to a channel with sequential
 * put goes to its end. The host counts and limits; its errno comes back as it is. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "posix.h"

#define MAX_CHANNELS 10914 /* as many as a manifest may have: kMaxChannels of the host */
#define FIRST_INODE 1000 /* channels count from here; devices and directories stay below */

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

int zvm_find_channel(const char* alias) {
  for (int i = 0; i < count(); ++i) {
    if (strcmp(get(i)->name, alias) == 0) return i;
  }
  return -1;
}

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

static long channel_read(struct file* file, void* buffer, size_t size, int64_t offset) {
  if (size == 0) return 0;
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

static void fill_stat(int channel, struct kernel_stat* out) {
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
  fill_stat(file->channel, out);
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

/* --- /dev --- */

bool zvm_is_dev_path(const char* path) {
  return strcmp(path, "/dev") == 0 || strncmp(path, "/dev/", 5) == 0 || zvm_find_channel(path) >= 0;
}

static int find_device(const char* path) {
  if (strncmp(path, "/dev/", 5) != 0) return -1;
  for (int i = 0; i < zvm_device_count(); ++i) {
    if (strcmp(path + 5, zvm_device_name(i)) == 0) return i;
  }
  return -1;
}

/* "/dev" itself, and every name that a channel's alias has before one of its slashes. */
static bool is_directory(const char* path) {
  const size_t length = strlen(path);
  if (strcmp(path, "/dev") == 0) return true;
  for (int i = 0; i < count(); ++i) {
    if (strncmp(get(i)->name, path, length) == 0 && get(i)->name[length] == '/') return true;
  }
  return false;
}

static void directory_stat(const char* path, struct kernel_stat* out) {
  uint64_t inode = 200; /* of /dev; a hash of the name for what is below it */
  for (const char* c = path + 4; *c != '\0'; ++c) inode = inode * 31 + (unsigned char)*c;
  out->st_dev = makedev(8, 1);
  out->st_ino = inode;
  out->st_nlink = 2;
  out->st_mode = S_IFDIR | 0555;
  out->st_uid = out->st_gid = 1000;
  out->st_blksize = 4096;
}

/* The name below `directory` that starts at `name`: its length, and whether more levels follow. */
static size_t child_length(const char* name, bool* deeper) {
  const size_t length = strcspn(name, "/");
  *deeper = name[length] == '/';
  return length;
}

/* Entries are numbered: "." and "..", then channels, then devices. A channel in a sub-directory
 * that an earlier one has named already gives none, so `index` is looked for from the start each
 * time. */
static int dev_entry(struct file* file, size_t index, const char** name, uint64_t* inode,
                     unsigned char* type) {
  static char child[256];
  const size_t length = strlen(file->path);
  *inode = 200;
  *type = DT_DIR;
  if (index < 2) {
    *name = index == 0 ? "." : "..";
    return 1;
  }
  index -= 2;
  char last[256] = "";
  for (int i = 0; i < count(); ++i) {
    const char* alias = get(i)->name;
    if (strncmp(alias, file->path, length) != 0 || alias[length] != '/') continue;
    bool deeper;
    const size_t n = child_length(alias + length + 1, &deeper);
    if (n == 0 || n >= sizeof child) continue;
    memcpy(child, alias + length + 1, n);
    child[n] = '\0';
    if (deeper && strcmp(child, last) == 0) continue; /* aliases are in byte order */
    if (deeper) memcpy(last, child, n + 1);
    if (index-- > 0) continue;
    *name = child;
    *inode = FIRST_INODE + (unsigned)i;
    if (!deeper) {
      struct kernel_stat found = {0};
      fill_stat(i, &found);
      *type = (unsigned char)(found.st_mode >> 12);
    }
    return 1;
  }
  if (strcmp(file->path, "/dev") != 0) return 0;
  for (int device = 0; device < zvm_device_count(); ++device) {
    char path[32] = "/dev/";
    strcat(path, zvm_device_name(device));
    if (zvm_find_channel(path) >= 0 || index-- > 0) continue;
    *name = zvm_device_name(device);
    *inode = 100 + (unsigned)device;
    *type = DT_CHR;
    return 1;
  }
  return 0;
}

static long dev_directory_stat(struct file* file, struct kernel_stat* out) {
  directory_stat(file->path, out);
  return 0;
}

static const struct file_operations dev_directory_operations = {.stat = dev_directory_stat,
                                                                .entry = dev_entry};

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

long zvm_dev_open(const char* path, int flags, struct file** out) {
  const int channel = zvm_find_channel(path);
  if (channel >= 0) {
    const long error = may_open(channel, flags);
    if (error < 0) return error;
    *out = zvm_new_file(&random_operations, flags);
    if (*out != NULL) fill_file(*out, channel, flags);
    return *out == NULL ? -ENOMEM : 0;
  }
  const int device = find_device(path);
  if (device >= 0) {
    if (flags & O_DIRECTORY) return -ENOTDIR;
    *out = zvm_device_file(device, flags);
    return *out == NULL ? -ENOMEM : 0;
  }
  if (!is_directory(path)) return flags & O_CREAT ? -EACCES : -ENOENT;
  if ((flags & O_ACCMODE) != O_RDONLY) return -EISDIR;
  *out = zvm_new_file(&dev_directory_operations, flags);
  if (*out == NULL || ((*out)->path = strdup(path)) == NULL) {
    free(*out);
    return -ENOMEM;
  }
  return 0;
}

long zvm_dev_stat(const char* path, struct kernel_stat* out) {
  const int channel = zvm_find_channel(path);
  const int device = find_device(path);
  if (channel >= 0)
    fill_stat(channel, out);
  else if (device >= 0)
    zvm_device_stat(device, out);
  else if (is_directory(path))
    directory_stat(path, out);
  else
    return -ENOENT;
  return 0;
}
