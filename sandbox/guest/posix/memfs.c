/* Files and directories in the guest's memory: everything that is not in /dev. A file's bytes are
 * one piece of whole pages that doubles when it is full; pages that were not written cost nothing.
 * A directory's entries are sorted by name, so that listings are the same everywhere. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "posix.h"

#define PAGE 4096
#define FIRST_INODE 100000

struct entry {
  char* name;
  struct node* node;
};

struct node {
  uint64_t inode;
  unsigned mode;
  int links;      /* names */
  int references; /* names and open files; freed at 0 */
  struct timespec accessed, modified, changed;
  /* of a file */
  char* bytes;
  int64_t size, capacity;
  /* of a directory */
  struct node* parent;
  struct entry* entries;
  size_t count, room;
};

static struct node* root;
static uint64_t next_inode = FIRST_INODE;

static struct node* new_node(unsigned mode) {
  struct node* node = calloc(1, sizeof *node);
  if (node == NULL) return NULL;
  node->inode = next_inode++;
  node->mode = mode;
  node->accessed = node->modified = node->changed = zvm_now();
  return node;
}

static void drop(struct node* node) {
  if (--node->references > 0) return;
  zvm_pages_free(node->bytes, (size_t)node->capacity);
  free(node->entries);
  free(node);
}

/* --- directories --- */

/* Where `name` of `length` bytes is among the entries, or would be. */
static size_t position(const struct node* directory, const char* name, size_t length, bool* found) {
  size_t low = 0, high = directory->count;
  while (low < high) {
    const size_t middle = (low + high) / 2;
    const char* other = directory->entries[middle].name;
    int order = strncmp(other, name, length);
    if (order == 0 && other[length] != '\0') order = 1;
    if (order == 0) {
      *found = true;
      return middle;
    }
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  *found = false;
  return low;
}

static long add(struct node* directory, const char* name, struct node* node) {
  if (directory->count == directory->room) {
    const size_t room = directory->room == 0 ? 8 : directory->room * 2;
    struct entry* entries = realloc(directory->entries, room * sizeof *entries);
    if (entries == NULL) return -ENOSPC;
    directory->entries = entries;
    directory->room = room;
  }
  char* copy = strdup(name);
  if (copy == NULL) return -ENOSPC;
  bool found;
  const size_t at = position(directory, name, strlen(name), &found);
  memmove(&directory->entries[at + 1], &directory->entries[at],
          (directory->count - at) * sizeof(struct entry));
  directory->entries[at] = (struct entry){copy, node};
  ++directory->count;
  ++node->links;
  ++node->references;
  if (S_ISDIR(node->mode)) node->parent = directory;
  directory->modified = directory->changed = node->changed = zvm_now();
  return 0;
}

static void take_out(struct node* directory, size_t at) {
  struct node* node = directory->entries[at].node;
  free(directory->entries[at].name);
  --directory->count;
  memmove(&directory->entries[at], &directory->entries[at + 1],
          (directory->count - at) * sizeof(struct entry));
  directory->modified = directory->changed = node->changed = zvm_now();
  --node->links;
  drop(node);
}

void zvm_memfs_start(void) {
  if (root != NULL) return;
  root = new_node(S_IFDIR | 0755);
  struct node* tmp = new_node(S_IFDIR | 01777);
  /* /dev shows in listings of the root; what is in it is not ours. */
  struct node* dev = new_node(S_IFDIR | 0555);
  if (root == NULL || tmp == NULL || dev == NULL) __builtin_trap();
  root->references = 1;
  root->parent = root;
  if (add(root, "tmp", tmp) < 0 || add(root, "dev", dev) < 0) __builtin_trap();
}

/* The node that the absolute, normal `path` names; of its directory and last part too, if asked
 * for. A null node with a directory means: that name is free there. Returns 0 or -errno. */
static long walk(const char* path, struct node** node, struct node** directory, const char** name) {
  zvm_memfs_start();
  struct node *at = root, *above = root;
  const char* part = path + 1;
  while (*part != '\0') {
    if (at == NULL) return -ENOENT;
    if (!S_ISDIR(at->mode)) return -ENOTDIR;
    const size_t length = strcspn(part, "/");
    bool found;
    const size_t index = position(at, part, length, &found);
    above = at;
    at = found ? at->entries[index].node : NULL;
    if (name != NULL) *name = part;
    part += length;
    if (*part == '/') ++part;
  }
  *node = at;
  if (directory != NULL) *directory = above;
  return 0;
}

static long existing(const char* path, struct node** node) {
  const long error = walk(path, node, NULL, NULL);
  if (error < 0) return error;
  return *node == NULL ? -ENOENT : 0;
}

/* --- open files --- */

static void fill_stat(const struct node* node, struct kernel_stat* out) {
  out->st_dev = makedev(8, 2);
  out->st_ino = node->inode;
  out->st_nlink = (uint64_t)node->links + (S_ISDIR(node->mode) ? 1 : 0);
  out->st_mode = node->mode;
  out->st_uid = out->st_gid = 1000;
  out->st_size = S_ISDIR(node->mode) ? PAGE : node->size;
  out->st_blksize = 65536;
  out->st_blocks = (out->st_size + 511) / 512;
  out->st_atim = node->accessed;
  out->st_mtim = node->modified;
  out->st_ctim = node->changed;
}

static long node_stat(struct file* file, struct kernel_stat* out) {
  fill_stat(file->node, out);
  return 0;
}

static int64_t node_size(struct file* file) { return file->node->size; }

static long node_read(struct file* file, void* buffer, size_t size, int64_t offset) {
  const struct node* node = file->node;
  if (offset >= node->size) return 0;
  if ((int64_t)size > node->size - offset) size = (size_t)(node->size - offset);
  memcpy(buffer, node->bytes + offset, size);
  return (long)size;
}

static long reserve(struct node* node, int64_t size) {
  if (size <= node->capacity) return 0;
  if (size > (int64_t)zvm_memory_total()) return -EFBIG;
  int64_t capacity = node->capacity == 0 ? PAGE : node->capacity * 2;
  while (capacity < size) capacity *= 2;
  void* bytes = NULL;
  for (int attempt = 0; attempt < 2 && bytes == NULL; ++attempt) {
    bytes = node->bytes == NULL
                ? zvm_pages_new((size_t)capacity)
                : zvm_pages_resize(node->bytes, (size_t)node->capacity, (size_t)capacity, true);
    if (bytes == NULL)
      capacity = (size + PAGE - 1) / PAGE * PAGE; /* no room to double: just enough */
  }
  if (bytes == NULL) return -ENOSPC;
  node->bytes = bytes;
  node->capacity = capacity;
  return 0;
}

static long resize(struct node* node, int64_t size) {
  const long error = reserve(node, size);
  if (error < 0) return error;
  if (size < node->size) memset(node->bytes + size, 0, (size_t)(node->size - size));
  node->size = size;
  node->modified = node->changed = zvm_now();
  return 0;
}

static long node_write(struct file* file, const void* buffer, size_t size, int64_t offset) {
  struct node* node = file->node;
  int64_t end;
  if (__builtin_add_overflow(offset, (int64_t)size, &end)) return -EFBIG;
  const long error = reserve(node, end);
  if (error < 0) return error;
  memcpy(node->bytes + offset, buffer, size);
  if (end > node->size) node->size = end;
  node->modified = node->changed = zvm_now();
  return (long)size;
}

static long node_truncate(struct file* file, int64_t size) { return resize(file->node, size); }

static void node_close(struct file* file) { drop(file->node); }

/* One entry of a listing; the next one follows its name. Without a name: the end. */
struct listed {
  uint64_t inode;
  unsigned char type;
  char name[];
};

static size_t listed_size(const char* name) {
  return (sizeof(struct listed) + strlen(name) + 1 + 7) & ~(size_t)7;
}

static char* put_listed(char* at, const char* name, const struct node* node) {
  struct listed* out = (struct listed*)at;
  out->inode = node == NULL ? 0 : node->inode;
  out->type = node != NULL && S_ISDIR(node->mode) ? DT_DIR : DT_REG;
  strcpy(out->name, name);
  return at + listed_size(name);
}

/* What is in the directory now. A program that removes each entry that it is given must be given
 * them all, so a listing does not change while it is read. */
static char* make_listing(const struct node* node) {
  size_t size = listed_size(".") + listed_size("..") + listed_size("");
  for (size_t i = 0; i < node->count; ++i) size += listed_size(node->entries[i].name);
  char* listing = malloc(size);
  if (listing == NULL) return NULL;
  char* at = put_listed(put_listed(listing, ".", node), "..", node->parent);
  for (size_t i = 0; i < node->count; ++i) {
    at = put_listed(at, node->entries[i].name, node->entries[i].node);
  }
  put_listed(at, "", NULL);
  return listing;
}

/* Cursors are places in the listing. */
static int node_entry(struct file* file, int64_t* cursor, const char** name, uint64_t* inode,
                      unsigned char* type) {
  if (*cursor == 0) {
    free(file->listing);
    file->listing = make_listing(file->node);
  }
  if (file->listing == NULL) return 0;
  const struct listed* listed = (const struct listed*)(file->listing + *cursor);
  if (listed->name[0] == '\0') return 0;
  *name = listed->name;
  *inode = listed->inode;
  *type = listed->type;
  *cursor += (int64_t)listed_size(listed->name);
  return 1;
}

static const struct file_operations file_operations = {.read = node_read,
                                                       .write = node_write,
                                                       .stat = node_stat,
                                                       .size = node_size,
                                                       .truncate = node_truncate,
                                                       .close = node_close};
static const struct file_operations directory_operations = {
    .stat = node_stat, .entry = node_entry, .close = node_close};

static long open_node(struct node* node, const char* path, int flags, struct file** out) {
  const bool directory = S_ISDIR(node->mode);
  struct file* file = zvm_new_file(directory ? &directory_operations : &file_operations, flags);
  if (file == NULL) return -ENOMEM;
  if (directory && (file->path = strdup(path)) == NULL) {
    free(file);
    return -ENOMEM;
  }
  file->node = node;
  ++node->references;
  *out = file;
  return 0;
}

long zvm_memfs_open(const char* path, int flags, unsigned mode, struct file** out) {
  struct node *node, *directory;
  const char* name = NULL;
  const long error = walk(path, &node, &directory, &name);
  if (error < 0) return error;
  if (node == NULL) {
    if (!(flags & O_CREAT)) return -ENOENT;
    node = new_node(S_IFREG | mode);
    if (node == NULL) return -ENOSPC;
    const long added = add(directory, name, node);
    if (added < 0) {
      free(node);
      return added;
    }
    return open_node(node, path, flags, out);
  }
  const bool write = (flags & O_ACCMODE) != O_RDONLY;
  if (flags & O_CREAT && flags & O_EXCL) return -EEXIST;
  if (S_ISDIR(node->mode) && write) return -EISDIR;
  if (!S_ISDIR(node->mode) && flags & O_DIRECTORY) return -ENOTDIR;
  if (write && !(node->mode & 0222)) return -EACCES;
  if ((flags & O_ACCMODE) != O_WRONLY && !(node->mode & 0444)) return -EACCES;
  if (flags & O_TRUNC && write) resize(node, 0);
  return open_node(node, path, flags, out);
}

/* --- names --- */

long zvm_memfs_stat(const char* path, struct kernel_stat* out) {
  struct node* node;
  const long error = existing(path, &node);
  if (error == 0) fill_stat(node, out);
  return error;
}

long zvm_memfs_mkdir(const char* path, unsigned mode) {
  struct node *node, *directory;
  const char* name = NULL;
  long error = walk(path, &node, &directory, &name);
  if (error < 0) return error;
  if (node != NULL) return -EEXIST;
  node = new_node(S_IFDIR | mode);
  if (node == NULL) return -ENOSPC;
  error = add(directory, name, node);
  if (error < 0) free(node);
  return error;
}

static long check_removal(const struct node* node, bool directory) {
  if (node == NULL) return -ENOENT;
  if (node == root) return -EBUSY;
  if (directory && !S_ISDIR(node->mode)) return -ENOTDIR;
  if (!directory && S_ISDIR(node->mode)) return -EISDIR;
  return directory && node->count > 0 ? -ENOTEMPTY : 0;
}

long zvm_memfs_remove(const char* path, bool directory) {
  struct node *node, *above;
  const char* name = NULL;
  long error = walk(path, &node, &above, &name);
  if (error == 0) error = check_removal(node, directory);
  if (error < 0) return error;
  bool found;
  take_out(above, position(above, name, strlen(name), &found));
  return 0;
}

long zvm_memfs_link(const char* from, const char* to) {
  struct node *node, *other, *directory;
  const char* name = NULL;
  long error = existing(from, &node);
  if (error == 0) error = walk(to, &other, &directory, &name);
  if (error < 0) return error;
  if (other != NULL) return -EEXIST;
  return S_ISDIR(node->mode) ? -EPERM : add(directory, name, node);
}

long zvm_memfs_rename(const char* from, const char* to) {
  struct node *node, *other, *old_directory, *new_directory;
  const char *old_name = NULL, *new_name = NULL;
  long error = walk(from, &node, &old_directory, &old_name);
  if (error == 0 && node == NULL) error = -ENOENT;
  if (error == 0) error = walk(to, &other, &new_directory, &new_name);
  if (error < 0 || node == other) return error;
  if (node == root) return -EBUSY;
  for (const struct node* above = new_directory; above != root; above = above->parent) {
    if (above == node) return -EINVAL; /* into itself */
  }
  bool found;
  if (other != NULL) {
    error = check_removal(other, S_ISDIR(node->mode));
    if (error < 0) return error;
    take_out(new_directory, position(new_directory, new_name, strlen(new_name), &found));
  }
  error = add(new_directory, new_name, node);
  if (error < 0) return error;
  take_out(old_directory, position(old_directory, old_name, strlen(old_name), &found));
  return 0;
}

long zvm_memfs_chmod(const char* path, unsigned mode) {
  struct node* node;
  const long error = existing(path, &node);
  if (error < 0) return error;
  node->mode = (node->mode & S_IFMT) | mode;
  node->changed = zvm_now();
  return 0;
}

long zvm_memfs_utimens(const char* path, const struct timespec times[2]) {
  struct node* node;
  const long error = existing(path, &node);
  if (error < 0) return error;
  const struct timespec now = zvm_now();
  struct timespec* fields[2] = {&node->accessed, &node->modified};
  for (int i = 0; i < 2; ++i) {
    if (times == NULL || times[i].tv_nsec == UTIME_NOW)
      *fields[i] = now;
    else if (times[i].tv_nsec != UTIME_OMIT)
      *fields[i] = times[i];
  }
  node->changed = now;
  return 0;
}
