/* The few WASI calls (preview 1) that the benchmark programs make, for wasm2c's C: arguments,
 * standard streams, exit. Compiled together with the C of one module, whose header PROGRAM_HEADER
 * names. For benchmarks of trusted programs only: of memory it checks nothing. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include PROGRAM_HEADER

/* What the module's imports get; wasm2c leaves its content to the host. */
struct Z_wasi_snapshot_preview1_instance_t {
  Z_program_instance_t* program;
  int argc;
  char** argv;
};
typedef struct Z_wasi_snapshot_preview1_instance_t Wasi;

enum { kOk = 0, kBadf = 8, kIo = 29, kSpipe = 70, kCharacterDevice = 2 };

static void* at(Wasi* wasi, u32 address) {
  return Z_programZ_memory(wasi->program)->data + address;
}

static void put(Wasi* wasi, u32 address, u32 value) { memcpy(at(wasi, address), &value, 4); }

u32 Z_wasi_snapshot_preview1Z_args_sizes_get(Wasi* wasi, u32 count, u32 bytes) {
  u32 total = 0;
  for (int i = 0; i < wasi->argc; ++i) total += (u32)strlen(wasi->argv[i]) + 1;
  put(wasi, count, (u32)wasi->argc);
  put(wasi, bytes, total);
  return kOk;
}

u32 Z_wasi_snapshot_preview1Z_args_get(Wasi* wasi, u32 pointers, u32 bytes) {
  for (int i = 0; i < wasi->argc; ++i) {
    const u32 size = (u32)strlen(wasi->argv[i]) + 1;
    memcpy(at(wasi, bytes), wasi->argv[i], size);
    put(wasi, pointers + 4 * (u32)i, bytes);
    bytes += size;
  }
  return kOk;
}

u32 Z_wasi_snapshot_preview1Z_environ_sizes_get(Wasi* wasi, u32 count, u32 bytes) {
  put(wasi, count, 0);
  put(wasi, bytes, 0);
  return kOk;
}

u32 Z_wasi_snapshot_preview1Z_environ_get(Wasi* wasi, u32 pointers, u32 bytes) {
  (void)wasi, (void)pointers, (void)bytes;
  return kOk;
}

u32 Z_wasi_snapshot_preview1Z_fd_close(Wasi* wasi, u32 fd) {
  (void)wasi, (void)fd;
  return kOk;
}

u32 Z_wasi_snapshot_preview1Z_fd_fdstat_get(Wasi* wasi, u32 fd, u32 out) {
  if (fd > 2) return kBadf;
  memset(at(wasi, out), 0, 24);
  memset(at(wasi, out), kCharacterDevice, 1);
  memset(at(wasi, out + 8), 0xff, 16); /* all rights */
  return kOk;
}

u32 Z_wasi_snapshot_preview1Z_fd_seek(Wasi* wasi, u32 fd, u64 offset, u32 whence, u32 out) {
  (void)wasi, (void)fd, (void)offset, (void)whence, (void)out;
  return kSpipe;
}

static u32 transfer(Wasi* wasi, u32 fd, u32 parts, u32 count, u32 moved, int is_write) {
  u32 total = 0;
  for (u32 i = 0; i < count; ++i) {
    u32 part[2]; /* address, size */
    memcpy(part, at(wasi, parts + 8 * i), sizeof part);
    const ssize_t n = is_write ? write((int)fd, at(wasi, part[0]), part[1])
                               : read((int)fd, at(wasi, part[0]), part[1]);
    if (n < 0) return kIo;
    total += (u32)n;
    if ((u32)n < part[1]) break;
  }
  put(wasi, moved, total);
  return kOk;
}

u32 Z_wasi_snapshot_preview1Z_fd_write(Wasi* wasi, u32 fd, u32 parts, u32 count, u32 moved) {
  return transfer(wasi, fd, parts, count, moved, 1);
}

u32 Z_wasi_snapshot_preview1Z_fd_read(Wasi* wasi, u32 fd, u32 parts, u32 count, u32 moved) {
  return transfer(wasi, fd, parts, count, moved, 0);
}

void Z_wasi_snapshot_preview1Z_proc_exit(Wasi* wasi, u32 code) {
  (void)wasi;
  exit((int)code);
}

int main(int argc, char** argv) {
  static Z_program_instance_t program;
  Wasi wasi = {&program, argc, argv};
  wasm_rt_init();
  Z_program_init_module();
  Z_program_instantiate(&program, &wasi);
  Z_programZ__start(&program);
  return 0;
}
