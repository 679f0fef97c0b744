/* zvm.h: everything a guest can ask of its host. The only header that guest and host share.
 *
 * A guest owns the low 4 GiB of its address space:
 *
 *   0x00000000  unmapped
 *   0x00010000  gate: one page, read and execute; a call enters at its first byte
 *   0x00020000  manifest: read only, struct UserManifest and what it points to
 *   0x00400000  image: text (read, execute), then read-only data, then data and bss
 *   ...         heap, read and write, from the first 64 KiB boundary after bss
 *   ...         mapped channels, read only, each between unmapped memory; none in most sessions
 *   0xff000000  stack, read and write, 16 MiB, up to 4 GiB
 *
 * Everything else is unmapped. There are six calls. Each is a function call to the gate with
 * the System V AMD64 convention: the call number in the first argument register, the call's own
 * arguments in the next ones, the result in rax: >= 0, or a negative Linux errno number. A call
 * keeps the callee-saved registers, MXCSR and the x87 control word, and clears every other one.
 *
 * C11 and C++. Source of names, numbers and fields: ZeroVM's manifest version 20130611; where
 * meanings differ, docs/abi.md lists it.
 */
#ifndef ZVM_H_
#define ZVM_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ZVM_ABI_VERSION 1

#define ZVM_GATE_ADDRESS 0x10000u
#define ZVM_MANIFEST_ADDRESS 0x20000u
#define ZVM_IMAGE_ADDRESS 0x400000u
#define ZVM_STACK_ADDRESS 0xff000000u
#define ZVM_STACK_SIZE 0x1000000u

/* Call numbers: four ASCII letters, little endian. */
#define ZVM_CALL_PREAD 0x64616552u  /* "Read" */
#define ZVM_CALL_PWRITE 0x74697257u /* "Writ" */
#define ZVM_CALL_JAIL 0x6c69614au   /* "Jail" */
#define ZVM_CALL_UNJAIL 0x6c6a6e55u /* "Unjl" */
#define ZVM_CALL_EXIT 0x74697845u   /* "Exit" */
#define ZVM_CALL_FORK 0x6b726f46u   /* "Fork" */

enum AccessType { SGetSPut = 0, RGetSPut = 1, SGetRPut = 2, RGetRPut = 3 };

enum ChannelLimits { GetsLimit, GetSizeLimit, PutsLimit, PutSizeLimit, LimitsNumber };

/* One channel; its handle is its index. 0, 1 and 2 are /dev/stdin, /dev/stdout and /dev/stderr, the
 * others follow in byte order of their names. */
struct ZVMChannel {
  int64_t limits[LimitsNumber]; /* what the host's manifest allows, not what is left */
  int64_t size;                 /* bytes at start; 0 when the channel is sequential both ways */
  uint32_t type;                /* enum AccessType */
  uint32_t reserved;
  const char* name;  /* the alias, "/dev/stdin"; NUL-terminated */
  const void* map;   /* where the whole file is in memory, read-only; NULL if it is not mapped */
  uint64_t map_size; /* bytes of it: all of the file; 0 if it is not mapped */
};

/* At ZVM_MANIFEST_ADDRESS for the whole run. Read it through MANIFEST. */
struct UserManifest {
  uint32_t abi_version;  /* ZVM_ABI_VERSION */
  uint32_t channel_size; /* sizeof(struct ZVMChannel) of the host */
  void* heap_ptr;        /* first byte of the heap, 64 KiB aligned */
  uint64_t heap_size;    /* bytes, all of them usable from the start */
  uint64_t stack_size;   /* bytes below 4 GiB */
  int32_t channels_count;
  int32_t readiness; /* handle of the readiness channel, which has no record; 0: there is none */
  const struct ZVMChannel* channels;
  uint64_t memory_size; /* bytes that the host's manifest grants: stack, image and heap */
};

#define MANIFEST ((const struct UserManifest*)(uintptr_t)ZVM_MANIFEST_ADDRESS)

/* The readiness channel, if the host's manifest asks for one, says which channels can be read
 * without waiting. Write a query and the handles behind it in one zvm_pwrite, then read as many
 * int64_t with one zvm_pread: bytes that are there; 0: none yet; -1: the channel has ended. A file
 * never makes a reader wait: INT64_MAX. A query that makes no sense ends the readiness channel. */
#define ZVM_READINESS_MAX 4096
struct ZVMReadinessQuery {
  uint32_t count; /* of handles (int32_t) that follow, 1 to ZVM_READINESS_MAX */
  uint32_t wait;  /* 0: answer at once; else only when one of them is not 0 */
};

/* The ELF note that makes a file a guest program: a PT_NOTE segment with one note, name "ZVM\0",
 * type ZVM_NOTE_TYPE, descriptor struct zvm_note. */
#define ZVM_NOTE_NAME "ZVM"
#define ZVM_NOTE_TYPE 1u
struct zvm_note {
  uint32_t abi_version; /* ZVM_ABI_VERSION */
  uint32_t isa_level;   /* highest x86-64 level the code uses: 2 or 3 */
};

/* Reads at most size bytes at offset (ignored by a sequential channel) into buffer. Returns the
 * bytes read, 0 at the end, or a negative errno: docs/abi.md has the table. */
int64_t zvm_pread(int32_t desc, void* buffer, int64_t size, int64_t offset);

/* Writes at most size bytes. Returns the bytes written or a negative errno. */
int64_t zvm_pwrite(int32_t desc, const void* buffer, int64_t size, int64_t offset);

/* Makes pages of the heap code if they keep the verifier's rules: buffer on a page of 4 KiB, below
 * 2 GiB; the rest of the last page is filled with traps. */
int32_t zvm_jail(void* buffer, uint64_t size);

/* Makes what one zvm_jail made code data again, all of it. */
int32_t zvm_unjail(void* buffer, uint64_t size);

/* The point where later sessions start: the session ends here if the host wants that. Returns 0. */
int32_t zvm_fork(void);

/* Ends the session; code is reported as it is. */
void zvm_exit(int32_t code) __attribute__((__noreturn__));

#ifdef __cplusplus
} /* extern "C" */
#endif

#endif /* ZVM_H_ */
