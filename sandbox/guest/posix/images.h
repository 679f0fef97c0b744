/* images.c and tar.c: nvram's [fstab], and the archives that it names. Inside of the POSIX layer.
 */
#ifndef ZVM_IMAGES_H_
#define ZVM_IMAGES_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A record of [fstab]. The strings must stay; nothing is opened yet. A record that cannot be (no
 * such channel, /dev as mount point, "wo" on the root, an unknown access, one too many) is skipped,
 * as nvram's other records are. `removable`: may be null, "yes" or "no". */
void zvm_add_image(const char* channel, const char* mountpoint, const char* access,
                   const char* removable);

/* The same after a fork: only images that are removable and read count, and are unpacked now. */
void zvm_add_image_again(const char* channel, const char* mountpoint, const char* access,
                         const char* removable);

/* nvram's [precache]: fork when images are unpacked, but for the removable ones. */
void zvm_set_precache(bool wanted);

/* nvram's [debug]. From 1 on, mounts are told to the channel /dev/debug, if there is one. */
void zvm_set_verbosity(int verbosity);

/* At the end: writes what "wo" names. Returns `code`, or EX_IOERR (74) if that is 0 and an archive
 * could not be written; what went wrong is on standard error. */
int zvm_images_save(int code);

/* Unpacks the archive that a channel holds below `mountpoint`. Returns entries, or -1 with a
 * sentence in `problem`. Needs the C library's heap. */
#define ZVM_PROBLEM_SIZE 512
long zvm_tar_unpack(int channel, const char* mountpoint, char problem[ZVM_PROBLEM_SIZE]);

/* The other way. */
long zvm_tar_pack(int channel, const char* directory, char problem[ZVM_PROBLEM_SIZE]);

#endif
