/* nvram's [fstab]: archives (tar) in channels that become directories in memory, and directories
 * that become archives at the end.
 *
 *   [fstab]
 *   channel=/dev/1.data.tar, mountpoint=/, access=ro, removable=no
 *   channel=/dev/2.out.tar, mountpoint=/out, access=wo
 *
 * "ro" is unpacked before constructors run, in the order of the records, so that a later image
 * overlays an earlier one. "removable" ones are unpacked again after zfork. "wo" is made an empty
 * directory then and is packed into its channel when the guest exits. An image that cannot be
 * unpacked ends the session: a program that does not find its files would say something misleading.
 */
#include "images.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include <zrt.h>

#include "posix.h"

#define MAX_IMAGES 64

static struct {
  int channel;
  const char* mountpoint;
  bool save, removable;
} images[MAX_IMAGES];
static size_t image_count;
static bool mounted, precache;

void zvm_set_precache(bool wanted) { precache = wanted; }

void zvm_add_image(const char* channel, const char* mountpoint, const char* access,
                   const char* removable) {
  const bool save = strcmp(access, "wo") == 0;
  const int found = zvm_find_channel(channel);
  if (image_count == MAX_IMAGES || found < 0 || mountpoint[0] != '/') return;
  if (!save && strcmp(access, "ro") != 0) return;
  if (zvm_is_dev_path(mountpoint) || (save && strcmp(mountpoint, "/") == 0)) return;
  images[image_count].channel = found;
  images[image_count].mountpoint = mountpoint;
  images[image_count].removable = !save && removable != NULL && strcmp(removable, "yes") == 0;
  images[image_count++].save = save;
}

static int verbosity;
void zvm_set_verbosity(int level) { verbosity = level; }

static void tell(size_t image, const char* what, long entries) {
  const int fd = verbosity > 0 ? open("/dev/debug", O_WRONLY) : -1;
  if (fd < 0) return;
  dprintf(fd, "zvm: %s %s on %s: %ld entries\n", what, zvm_channel_name(images[image].channel),
          images[image].mountpoint, entries);
  close(fd);
}

static long make_directories(const char* path) {
  char partial[ZVM_PATH_MAX];
  if (strlen(path) >= sizeof partial) return -ENAMETOOLONG;
  for (size_t i = 1; path[i - 1] != '\0'; ++i) {
    if (path[i] != '/' && path[i] != '\0') continue;
    memcpy(partial, path, i);
    partial[i] = '\0';
    if (mkdir(partial, 0755) < 0 && errno != EEXIST) return -errno;
  }
  return 0;
}

static void complain(size_t image, const char* problem) {
  dprintf(STDERR_FILENO, "zvm: image %s on %s: %s\n", zvm_channel_name(images[image].channel),
          images[image].mountpoint, problem);
}

static void mount_image(size_t i) {
  char problem[ZVM_PROBLEM_SIZE];
  long result = make_directories(images[i].mountpoint);
  if (result < 0) {
    snprintf(problem, sizeof problem, "cannot make the mount point: %s", strerror((int)-result));
  } else if (!images[i].save) {
    result = zvm_tar_unpack(images[i].channel, images[i].mountpoint, problem);
  }
  if (result < 0) {
    complain(i, problem);
    zvm_exit(EX_CONFIG); /* without sys_exit: what is not there is not saved */
  }
  tell(i, "mounted", result);
}

void zvm_add_image_again(const char* channel, const char* mountpoint, const char* access,
                         const char* removable) {
  const size_t before = image_count;
  zvm_add_image(channel, mountpoint, access, removable);
  if (image_count == before) return;
  if (images[before].removable) mount_image(before);
  image_count = before; /* the list is that of the start */
}

static void mount_images(void) {
  for (size_t i = 0; i < image_count; ++i) {
    if (!precache || !images[i].removable) mount_image(i);
  }
  mounted = true;
  if (precache) zfork();
}

/* The first of all constructors, so that the others find their files. */
__attribute__((used,
               section(".init_array.00000"))) static void (*const mount_first)(void) = mount_images;

int zvm_images_save(int code) {
  char problem[ZVM_PROBLEM_SIZE];
  if (!mounted) return code;
  mounted = false; /* once */
  for (size_t i = 0; i < image_count; ++i) {
    if (!images[i].save) continue;
    const long entries = zvm_tar_pack(images[i].channel, images[i].mountpoint, problem);
    if (entries >= 0) {
      tell(i, "saved", entries);
      continue;
    }
    complain(i, problem);
    if (code == 0) code = EX_IOERR;
  }
  return code;
}
