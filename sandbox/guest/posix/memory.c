/* The heap, in pages of 4 KiB: brk grows from its start, everything else is taken from its end. A
 * bitmap knows which pages are in use; a second one which were ever used and may not be zero any
 * more. The host gives all of the heap as zeros from the start and backs a page when it is touched.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "posix.h"

#define PAGE 4096u
#define MAX_PAGES (1u << 20) /* 4 GiB */

static uint64_t used[MAX_PAGES / 64];
static uint64_t dirty[MAX_PAGES / 64];
static uintptr_t heap_start, heap_end, break_now;
static size_t page_count, pages_used;
static size_t search_end; /* no page at or above it is free */

static size_t pages_of(size_t bytes) { return bytes / PAGE + (bytes % PAGE != 0); }
static size_t index_of(const void* address) { return ((uintptr_t)address - heap_start) / PAGE; }
static void* address_of(size_t index) { return (void*)(heap_start + index * PAGE); }
static bool get(const uint64_t* map, size_t i) { return map[i / 64] >> (i % 64) & 1; }

void zvm_memory_start(void) {
  heap_start = (uintptr_t)MANIFEST->heap_ptr;
  heap_end = heap_start + MANIFEST->heap_size / PAGE * PAGE;
  break_now = heap_start;
  page_count = search_end = (heap_end - heap_start) / PAGE;
}

uint64_t zvm_memory_total(void) { return (uint64_t)page_count * PAGE; }
uint64_t zvm_memory_free(void) { return (uint64_t)(page_count - pages_used) * PAGE; }

static bool is_free(size_t first, size_t count) {
  if (first > page_count || count > page_count - first) return false;
  for (size_t i = first; i < first + count; ++i) {
    if (i % 64 == 0 && first + count - i >= 64) {
      if (used[i / 64] != 0) return false;
      i += 63;
    } else if (get(used, i)) {
      return false;
    }
  }
  return true;
}

/* Marks pages used and makes them zero. */
static void take(size_t first, size_t count) {
  pages_used += count;
  for (size_t i = first; i < first + count; ++i) {
    const uint64_t bit = UINT64_C(1) << (i % 64);
    if (dirty[i / 64] & bit) memset(address_of(i), 0, PAGE);
    used[i / 64] |= bit;
    dirty[i / 64] |= bit;
  }
}

static void give_back(size_t first, size_t count) {
  for (size_t i = first; i < first + count; ++i) {
    const uint64_t bit = UINT64_C(1) << (i % 64);
    if (used[i / 64] & bit) --pages_used;
    used[i / 64] &= ~bit;
  }
  if (first + count > search_end) search_end = first + count;
}

/* The highest run of `count` free pages. */
static bool find(size_t count, size_t* first) {
  size_t run = 0;
  bool any_free = false;
  for (size_t i = search_end; i-- > 0;) {
    if (i % 64 == 63 && used[i / 64] == UINT64_MAX) {
      run = 0;
      i -= 63;
      continue;
    }
    if (get(used, i)) {
      run = 0;
      continue;
    }
    if (!any_free) {
      any_free = true;
      search_end = i + 1;
    }
    if (++run == count) {
      *first = i;
      return true;
    }
  }
  return false;
}

void* zvm_pages_new(size_t bytes) {
  const size_t count = pages_of(bytes);
  size_t first;
  if (count == 0 || count > page_count || !find(count, &first)) return NULL;
  take(first, count);
  if (first + count == search_end) search_end = first;
  return address_of(first);
}

void zvm_pages_free(void* pages, size_t bytes) {
  if (pages != NULL) give_back(index_of(pages), pages_of(bytes));
}

void* zvm_pages_resize(void* pages, size_t old_bytes, size_t new_bytes, bool may_move) {
  const size_t first = index_of(pages);
  const size_t old_count = pages_of(old_bytes), new_count = pages_of(new_bytes);
  if (new_count <= old_count) {
    give_back(first + new_count, old_count - new_count);
    return pages;
  }
  if (is_free(first + old_count, new_count - old_count)) {
    take(first + old_count, new_count - old_count);
    return pages;
  }
  if (!may_move) return NULL;
  void* moved = zvm_pages_new(new_bytes);
  if (moved == NULL) return NULL;
  memcpy(moved, pages, old_count * PAGE);
  give_back(first, old_count);
  return moved;
}

long sys_brk(uintptr_t address) {
  if (address < heap_start || address > heap_end) return (long)break_now;
  const size_t now = pages_of(break_now - heap_start), wanted = pages_of(address - heap_start);
  if (wanted > now) {
    if (!is_free(now, wanted - now)) return (long)break_now;
    take(now, wanted - now);
  } else {
    give_back(wanted, now - wanted);
  }
  break_now = address;
  return (long)break_now;
}

static bool in_heap(const void* address, size_t size) {
  const uintptr_t start = (uintptr_t)address;
  return start % PAGE == 0 && start >= heap_start && start <= heap_end && size <= heap_end - start;
}

/* A private mapping of a file is a copy of it, made at once; a shared one would have to be written
 * back, so it must be read only. */
static long fill_from_file(char* pages, size_t size, int fd, int64_t offset) {
  size_t done = 0;
  while (done < size) {
    const long n = sys_pread(fd, pages + done, size - done, offset + (int64_t)done);
    if (n < 0) return n;
    if (n == 0) break;
    done += (size_t)n;
  }
  return 0;
}

long sys_mmap(void* address, size_t size, int protection, int flags, int fd, int64_t offset) {
  if (size == 0) return -EINVAL;
  if (protection & PROT_EXEC) return -EACCES;
  const bool anonymous = flags & MAP_ANONYMOUS;
  if (!anonymous && !(flags & MAP_FIXED) && !(protection & PROT_WRITE)) {
    /* A channel that the host has mapped is there already. */
    const struct file* file = zvm_file(fd);
    const void* mapped =
        file == NULL || offset % PAGE != 0 ? NULL : zvm_channel_map(file, offset, size);
    if (mapped != NULL) return (long)mapped;
  }
  if (!anonymous && (flags & MAP_TYPE) != MAP_PRIVATE && protection & PROT_WRITE) return -ENODEV;
  void* pages;
  if (flags & MAP_FIXED) {
    if (!in_heap(address, size)) return -ENOMEM;
    give_back(index_of(address), pages_of(size));
    take(index_of(address), pages_of(size));
    pages = address;
  } else {
    pages = zvm_pages_new(size);
    if (pages == NULL) return -ENOMEM;
  }
  if (!anonymous) {
    const long error = fill_from_file(pages, size, fd, offset);
    if (error < 0) {
      zvm_pages_free(pages, size);
      return error;
    }
  }
  return (long)pages;
}

long sys_munmap(void* address, size_t size) {
  if (size == 0) return -EINVAL;
  if (!in_heap(address, size)) return zvm_in_channel_map(address, size) ? 0 : -EINVAL;
  zvm_pages_free(address, size);
  return 0;
}

long sys_mremap(void* address, size_t old_size, size_t new_size, int flags, void* new_address) {
  (void)new_address;
  if (!in_heap(address, old_size) || new_size == 0 || flags & MREMAP_FIXED) return -EINVAL;
  void* pages = zvm_pages_resize(address, old_size, new_size, flags & MREMAP_MAYMOVE);
  return pages == NULL ? -ENOMEM : (long)pages;
}

long sys_madvise(void* address, size_t size, int advice) {
  if (!in_heap(address, size)) return zvm_in_channel_map(address, size) ? 0 : -EINVAL;
  if (advice == MADV_DONTNEED) memset(address, 0, size);
  return 0;
}

/* All of the heap stays readable and writable. */
long sys_mprotect(void* address, size_t size, int protection) {
  const bool read_only = !in_heap(address, size) && zvm_in_channel_map(address, size);
  return protection & PROT_EXEC || (read_only && protection & PROT_WRITE) ? -EACCES : 0;
}
