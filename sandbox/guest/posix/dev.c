/* /dev: the directory that channels and devices are in. An alias with more slashes, /dev/in/a,
 * makes directories on its way. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "posix.h"

#define DEV_INODE 200

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

static bool is_directory(const char* path) {
  return strcmp(path, "/dev") == 0 || zvm_channels_below(path) >= 0;
}

static void directory_stat(const char* path, struct kernel_stat* out) {
  uint64_t inode = DEV_INODE; /* of /dev; a hash of the name for what is below it */
  for (const char* c = path + 4; *c != '\0'; ++c) inode = inode * 31 + (unsigned char)*c;
  out->st_dev = makedev(8, 1);
  out->st_ino = inode;
  out->st_nlink = 2;
  out->st_mode = S_IFDIR | 0555;
  out->st_uid = out->st_gid = 1000;
  out->st_blksize = 4096;
}

/* The part of channel `channel`'s alias below `directory`, of `length` bytes, up to the next slash;
 * 0 bytes when it is not there. */
static size_t child_of(const char* directory, size_t length, int channel, const char** child) {
  const char* alias = zvm_channel_name(channel);
  if (strncmp(alias, directory, length) != 0 || alias[length] != '/') return 0;
  *child = alias + length + 1;
  return strcspn(*child, "/");
}

/* Cursors: 0 is ".", 1 is "..", then one for each channel, then one for each device. */
static int dev_entry(struct file* file, int64_t* cursor, const char** name, uint64_t* inode,
                     unsigned char* type) {
  static char copy[256];
  const size_t length = strlen(file->path);
  const int channels = zvm_channel_count();
  *inode = DEV_INODE;
  *type = DT_DIR;
  if (*cursor < 2) {
    *name = *cursor == 0 ? "." : "..";
    ++*cursor;
    return 1;
  }
  while (*cursor - 2 < channels) {
    const int i = (int)(*cursor - 2);
    ++*cursor;
    const char *child, *before;
    const size_t n = child_of(file->path, length, i, &child);
    if (n == 0 || n >= sizeof copy) continue;
    const bool deeper = child[n] == '/';
    /* A directory is listed for the first of the channels in it; they are neighbours. */
    if (deeper && i > 0 && child_of(file->path, length, i - 1, &before) == n && before[n] == '/' &&
        memcmp(before, child, n) == 0) {
      continue;
    }
    memcpy(copy, child, n);
    copy[n] = '\0';
    *name = copy;
    struct kernel_stat found = {0};
    zvm_channel_stat(i, &found);
    *inode = found.st_ino;
    if (!deeper) *type = (unsigned char)(found.st_mode >> 12);
    return 1;
  }
  if (strcmp(file->path, "/dev") != 0) return 0;
  while (*cursor - 2 - channels < zvm_device_count()) {
    const int device = (int)(*cursor - 2 - channels);
    ++*cursor;
    char path[32] = "/dev/";
    strcat(path, zvm_device_name(device));
    if (zvm_find_channel(path) >= 0) continue; /* the channel is in its place */
    struct kernel_stat found = {0};
    zvm_device_stat(device, &found);
    *name = zvm_device_name(device);
    *inode = found.st_ino;
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

long zvm_dev_open(const char* path, int flags, struct file** out) {
  const int channel = zvm_find_channel(path);
  if (channel >= 0) return zvm_channel_open(channel, flags, out);
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
    zvm_channel_stat(channel, out);
  else if (device >= 0)
    zvm_device_stat(device, out);
  else if (is_directory(path))
    directory_stat(path, out);
  else
    return -ENOENT;
  return 0;
}
