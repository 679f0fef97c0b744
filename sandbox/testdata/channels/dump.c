/* Prints the user manifest, a line for each thing, and whether it lies where it should. */
#include <zvm.h>

static char text[65536];
static int64_t size;

static void Put(const char* word) {
  for (; *word != 0; ++word) text[size++] = *word;
}

static void PutNumber(uint64_t value) {
  char digits[24];
  int count = 0;
  do {
    digits[count++] = (char)('0' + value % 10);
    value /= 10;
  } while (value != 0);
  while (count > 0) text[size++] = digits[--count];
}

static void PutLine(const char* name, uint64_t value) {
  Put(name);
  Put(" ");
  PutNumber(value);
  Put("\n");
}

int main(void) {
  PutLine("memory", MANIFEST->memory_size);
  PutLine("stack", MANIFEST->stack_size);
  PutLine("heap", MANIFEST->heap_size);
  PutLine("heap begins a page", (uintptr_t)MANIFEST->heap_ptr % 65536 == 0);
  PutLine("channels", (uint64_t)MANIFEST->channels_count);
  for (int32_t i = 0; i < MANIFEST->channels_count; ++i) {
    const struct ZVMChannel* channel = &MANIFEST->channels[i];
    Put(channel->name);
    for (int k = 0; k < 4; ++k) {
      Put(" ");
      PutNumber((uint64_t)channel->limits[k]);
    }
    Put(" size ");
    PutNumber((uint64_t)channel->size);
    PutLine(" type", channel->type);
  }
  return zvm_pwrite(1, text, size, 0) == size ? 0 : 1;
}
