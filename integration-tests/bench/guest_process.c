/* guest_process PROGRAM [NVRAM]: runs a guest as a plain Linux process, WITHOUT any sandbox, so
 * that valgrind can count its instructions. For benchmarks of trusted programs only.
 *
 * It lays the address space out as zvm.h says, with a gate page that jumps to Gate() below, and
 * calls the guest's entry on the guest's stack. Channels: standard input, output and error, and the
 * file NVRAM as /dev/nvram. Linked for an address far above 4 GiB (-Ttext-segment), because
 * valgrind puts a position-independent program where a guest is; it puts shared objects at 64 MiB,
 * so the heap is higher. */
#include <elf.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/include/zvm.h"

enum { kChannels = 4, kPage = 4096 };
static const uint64_t kHeapAddress = 0x10000000,
                      kHeapSize = 0x20000000; /* valgrind is at 0x58000000 */
static const int64_t kNoLimit = INT64_C(1) << 40;

static int descriptors[kChannels] = {0, 1, 2, -1};

static void* map(uint64_t address, uint64_t size) {
  void* at = mmap((void*)address, size, PROT_READ | PROT_WRITE | PROT_EXEC,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (at != (void*)address) err(1, "cannot map %#llx", (unsigned long long)address);
  return at;
}

/* Runs on the guest's stack; its registers are those of a call. */
static int64_t gate(uint64_t call, uint64_t a, uint64_t b, uint64_t c) {
  const int fd = call == ZVM_CALL_EXIT || a >= kChannels ? -1 : descriptors[a];
  int64_t result = -1;
  switch (call) {
    case ZVM_CALL_PREAD:
      result = read(fd, (void*)b, c);
      break;
    case ZVM_CALL_PWRITE:
      result = write(fd, (const void*)b, c);
      break;
    case ZVM_CALL_EXIT:
      _exit((int)a);
    default:
      return -ENOSYS;
  }
  return result < 0 ? -errno : result;
}

/* Maps the segments of `path`; returns its entry. */
static uint64_t load(const char* path) {
  Elf64_Ehdr header;
  Elf64_Phdr segments[32];
  const int fd = open(path, O_RDONLY);
  if (fd < 0 || pread(fd, &header, sizeof header, 0) != sizeof header || header.e_phnum > 32) {
    err(1, "%s", path);
  }
  const ssize_t size = (ssize_t)(header.e_phnum * sizeof *segments);
  if (pread(fd, segments, (size_t)size, (off_t)header.e_phoff) != size) err(1, "%s", path);
  for (int i = 0; i < header.e_phnum; ++i) {
    const Elf64_Phdr* s = &segments[i];
    if (s->p_type != PT_LOAD || s->p_memsz == 0) continue;
    const uint64_t first = s->p_vaddr / kPage * kPage;
    const uint64_t end = (s->p_vaddr + s->p_memsz + kPage - 1) / kPage * kPage;
    map(first, end - first);
    if (pread(fd, (void*)s->p_vaddr, s->p_filesz, (off_t)s->p_offset) != (ssize_t)s->p_filesz) {
      err(1, "%s", path);
    }
  }
  close(fd);
  return header.e_entry;
}

static void write_manifest(void) {
  static const char* const names[kChannels] = {"/dev/stdin", "/dev/stdout", "/dev/stderr",
                                               "/dev/nvram"};
  char* const page = map(ZVM_MANIFEST_ADDRESS, kPage);
  struct UserManifest* const manifest = (struct UserManifest*)page;
  struct ZVMChannel* const channels = (struct ZVMChannel*)(page + 256);
  char* text = page + 2048;
  for (int i = 0; i < kChannels; ++i) {
    const int is_read = i == 0 || i == 3;
    channels[i].limits[GetsLimit] = channels[i].limits[GetSizeLimit] = is_read ? kNoLimit : 0;
    channels[i].limits[PutsLimit] = channels[i].limits[PutSizeLimit] = is_read ? 0 : kNoLimit;
    channels[i].type = SGetSPut;
    channels[i].name = text;
    text = stpcpy(text, names[i]) + 1;
  }
  map(kHeapAddress, kHeapSize);
  *manifest = (struct UserManifest){.abi_version = ZVM_ABI_VERSION,
                                    .channel_size = sizeof *channels,
                                    .heap_ptr = (void*)kHeapAddress,
                                    .heap_size = kHeapSize,
                                    .stack_size = ZVM_STACK_SIZE,
                                    .channels_count = kChannels,
                                    .channels = channels};
}

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) errx(2, "usage: %s PROGRAM [NVRAM]", argv[0]);
  descriptors[3] = open(argc > 2 ? argv[2] : "/dev/null", O_RDONLY);
  if (descriptors[3] < 0) err(1, "%s", argv[2]);
  const uint64_t entry = load(argv[1]);
  write_manifest();
  unsigned char* const code = map(ZVM_GATE_ADDRESS, kPage);
  const uint64_t target = (uint64_t)(uintptr_t)&gate;
  memcpy(code, "\x48\xb8", 2); /* movabs $gate, %rax */
  memcpy(code + 2, &target, 8);
  memcpy(code + 10, "\xff\xe0", 2); /* jmp *%rax */
  map(ZVM_STACK_ADDRESS, ZVM_STACK_SIZE);
  /* SAFETY: nothing of this function is needed any more; gate() exits. */
  __asm__ volatile("movq %0, %%rsp\n\tjmp *%1"
                   :
                   : "r"((uint64_t)ZVM_STACK_ADDRESS + ZVM_STACK_SIZE - 64), "r"(entry)
                   : "memory");
  __builtin_unreachable();
}
