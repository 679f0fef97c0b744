/* Makes the calls that a script asks for and reports what each returned: one number a line.
 *
 * Channels: /dev/script is read, /dev/result is written, with one call each. A line of the script
 * is
 *
 *   r HANDLE BASE ADDEND SIZE OFFSET    pread
 *   w HANDLE BASE ADDEND SIZE OFFSET    pwrite
 *   j / u BASE ADDEND SIZE              jail, unjail
 *   f                                   fork
 *   s HANDLE                            the channel's size in the user manifest
 *
 * BASE is a letter: d data, n null, g gate, m user manifest, t text, r read-only data, h heap, e
 * end of the heap, s lowest byte of the stack, z 4 GiB. ADDEND is added to it. Numbers are decimal.
 */
#include <zvm.h>

static char script[65536];
static char result[65536];
static char data[1 << 20] = "data";
static const char constant[] = "read-only data";

static const char* at = script;
static int64_t result_size;

static int32_t Find(const char* name) {
  for (int32_t i = 0; i < MANIFEST->channels_count; ++i) {
    const char* other = MANIFEST->channels[i].name;
    const char* mine = name;
    while (*mine != 0 && *mine == *other) ++mine, ++other;
    if (*mine == *other) return i;
  }
  zvm_exit(90);
}

static int64_t Number(void) {
  while (*at == ' ') ++at;
  const int is_negative = *at == '-';
  if (is_negative) ++at;
  uint64_t value = 0;
  if (*at < '0' || *at > '9') zvm_exit(91);
  while (*at >= '0' && *at <= '9') value = value * 10 + (uint64_t)(*at++ - '0');
  return (int64_t)(is_negative ? -value : value);
}

static void* Buffer(void) {
  while (*at == ' ') ++at;
  uint64_t base = 0;
  switch (*at++) {
    case 'd':
      base = (uintptr_t)data;
      break;
    case 'n':
      base = 0;
      break;
    case 'g':
      base = ZVM_GATE_ADDRESS;
      break;
    case 'm':
      base = ZVM_MANIFEST_ADDRESS;
      break;
    case 't':
      base = (uintptr_t)&zvm_pread;
      break;
    case 'r':
      base = (uintptr_t)constant;
      break;
    case 'h':
      base = (uintptr_t)MANIFEST->heap_ptr;
      break;
    case 'e':
      base = (uintptr_t)MANIFEST->heap_ptr + MANIFEST->heap_size;
      break;
    case 's':
      base = ZVM_STACK_ADDRESS;
      break;
    case 'z':
      base = (uint64_t)1 << 32;
      break;
    default:
      zvm_exit(92);
  }
  return (void*)(base + (uint64_t)Number());
}

static void Put(int64_t value) {
  char digits[24];
  int count = 0;
  uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
  do {
    digits[count++] = (char)('0' + magnitude % 10);
    magnitude /= 10;
  } while (magnitude != 0);
  if (value < 0) digits[count++] = '-';
  while (count > 0) result[result_size++] = digits[--count];
  result[result_size++] = '\n';
}

static int64_t Transfer(int is_read) {
  const int32_t handle = (int32_t)Number();
  void* buffer = Buffer();
  const int64_t size = Number();
  const int64_t offset = Number();
  return is_read ? zvm_pread(handle, buffer, size, offset)
                 : zvm_pwrite(handle, buffer, size, offset);
}

static int64_t Call(char name) {
  void* buffer;
  switch (name) {
    case 'r':
      return Transfer(1);
    case 'w':
      return Transfer(0);
    case 'j':
      buffer = Buffer();
      return zvm_jail(buffer, (uint64_t)Number());
    case 'u':
      buffer = Buffer();
      return zvm_unjail(buffer, (uint64_t)Number());
    case 'f':
      return zvm_fork();
    case 's':
      return MANIFEST->channels[Number()].size;
    default:
      zvm_exit(93);
  }
}

int main(void) {
  const int64_t size = zvm_pread(Find("/dev/script"), script, sizeof script - 1, 0);
  if (size < 0) return 94;
  while (*at != 0) {
    Put(Call(*at++));
    while (*at == '\n' || *at == ' ') ++at;
  }
  return zvm_pwrite(Find("/dev/result"), result, result_size, 0) == result_size ? 0 : 95;
}
