/* zrt.h: what the guests' C library has beyond C and POSIX. Source of the name and of what it does:
 * ZRT, the library of ZeroVM's guests. */
#ifndef ZRT_H_
#define ZRT_H_

#ifdef __cplusplus
extern "C" {
#endif

/* zvm_fork() for a program that uses the C library: writes out all streams, forks, and reads
 * /dev/nvram again. Of what the session that goes on finds there, [env] is added to the
 * environment, [mapping] and [debug] count, and images of [fstab] with removable=yes are unpacked
 * from its channels; arguments and clock stay. nvram must be a random channel (type 1 or 3).
 * Returns 0. */
int zfork(void);

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* ZRT_H_ */
