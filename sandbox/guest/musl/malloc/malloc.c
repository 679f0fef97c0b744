/* The allocator of guests, behind musl's seam for one (--with-malloc). A guest has one thread and
 * memory that costs nothing until it is touched, so this is simple and fast.
 *
 * Memory comes in granules of 64 KiB, aligned. A slab is one granule of chunks of one size; a large
 * block is as many granules as it needs. Either begins with a header, and everything in it is found
 * from a pointer by rounding it down: the granule of p is that of the byte before p, so that a
 * block can also begin exactly on a boundary, with its header in a granule of its own before it.
 *
 * Not hardened like musl's own: a guest can only harm itself. Pointers that were never given out,
 * and most that were given back, still end the guest. */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "atomic.h"
#include "dynlink.h"

#define GRANULE 65536u
#define HEADER 64u
#define ARENA_GRANULES 16
#define MAX_SMALL 32736u
#define CLASSES 42
#define MAX_FREE_SLABS 64 /* more are given back */
#define KEPT_BLOCKS 8     /* large ones, for the next that fits */
#define MAX_KEPT (4u << 20)

struct granule {
  uint64_t magic;
  struct granule *next, *previous; /* slabs of a class with room; free slabs */
  void* free;                      /* chunks that were given back, each pointing to the next */
  uint32_t used, fresh, capacity;  /* chunks; from number `fresh` on they were never given out */
  uint32_t size;                   /* of a chunk; 0: a large block */
  size_t granules;                 /* of a large block, the header's included */
  uint8_t class, is_zero, has_aligned;
};
_Static_assert(sizeof(struct granule) <= HEADER, "the header has its room");

#define SLAB UINT64_C(0x534c41427a766d31)
#define LARGE UINT64_C(0x4c4152477a766d31)

/* By 16 to 256, then four for each doubling, then as many as fit a slab seven, six, ... two times.
 */
static const uint16_t sizes[CLASSES] = {
    16,   32,   48,   64,   80,   96,   112,  128,  144,  160,   176,   192,   208,   224,
    240,  256,  320,  384,  448,  512,  640,  768,  896,  1024,  1280,  1536,  1792,  2048,
    2560, 3072, 3584, 4096, 5120, 6144, 7168, 8176, 9344, 10912, 13088, 16368, 21824, 32736};

static struct granule* with_room[CLASSES];
static struct granule* free_slabs;
static unsigned free_slab_count;
static struct granule* kept[KEPT_BLOCKS];

static unsigned class_of(size_t n) {
  if (n <= 256) return n == 0 ? 0 : (unsigned)(n - 1) / 16;
  if (n <= 8176) {
    const unsigned doubling = 63 - (unsigned)__builtin_clzl(n - 1); /* 8: 257 to 512 */
    return 16 + (doubling - 8) * 4 + (unsigned)((n - 1) >> (doubling - 2) & 3);
  }
  unsigned class = 36;
  while (sizes[class] < n) ++class;
  return class;
}

/* Granules, aligned and zero. */
static void* new_granules(size_t count) {
  if (count > SIZE_MAX / GRANULE - 1) return NULL;
  const size_t size = count * GRANULE, slack = GRANULE - 4096;
  char* const memory =
      __mmap(NULL, size + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  const size_t before = -(uintptr_t)memory % GRANULE;
  if (before != 0) __munmap(memory, before);
  if (before != slack) __munmap(memory + before + size, slack - before);
  return memory + before;
}

static void keep_slab(struct granule* slab) {
  if (free_slab_count >= MAX_FREE_SLABS) {
    __munmap(slab, GRANULE);
    return;
  }
  slab->next = free_slabs;
  free_slabs = slab;
  ++free_slab_count;
}

static struct granule* new_slab(void) {
  if (free_slabs == NULL) {
    /* Many at once, or one if there is no more. */
    char* granules = new_granules(ARENA_GRANULES);
    unsigned count = ARENA_GRANULES;
    if (granules == NULL) granules = new_granules(count = 1);
    if (granules == NULL) return NULL;
    while (count-- > 0) keep_slab((struct granule*)(granules + count * GRANULE));
  }
  struct granule* const slab = free_slabs;
  free_slabs = slab->next;
  --free_slab_count;
  return slab;
}

static void link_slab(struct granule* slab) {
  struct granule** const head = &with_room[slab->class];
  slab->previous = NULL;
  slab->next = *head;
  if (*head != NULL) (*head)->previous = slab;
  *head = slab;
}

static void unlink_slab(struct granule* slab) {
  if (slab->next != NULL) slab->next->previous = slab->previous;
  if (slab->previous != NULL)
    slab->previous->next = slab->next;
  else
    with_room[slab->class] = slab->next;
}

/* Gives back whatever is in nobody's use: large blocks, slabs, and the last empty slab of a class.
 * Scattered as they are, they would keep large blocks from finding a place. */
static void drop_kept(void) {
  for (int i = 0; i < KEPT_BLOCKS; ++i) {
    if (kept[i] != NULL) __munmap(kept[i], kept[i]->granules * GRANULE);
    kept[i] = NULL;
  }
  while (free_slabs != NULL) {
    struct granule* const slab = free_slabs;
    free_slabs = slab->next;
    __munmap(slab, GRANULE);
  }
  free_slab_count = 0;
  for (unsigned class = 0; class < CLASSES; ++class) {
    struct granule *slab = with_room[class], *next;
    for (; slab != NULL; slab = next) {
      next = slab->next;
      if (slab->used != 0) continue;
      unlink_slab(slab);
      slab->magic = 0;
      __munmap(slab, GRANULE);
    }
  }
}

static void* new_small(unsigned class) {
  struct granule* slab = with_room[class];
  if (slab == NULL) {
    slab = new_slab();
    if (slab == NULL) {
      drop_kept();
      slab = new_slab();
    }
    if (slab == NULL) {
      errno = ENOMEM;
      return NULL;
    }
    const uint32_t size = sizes[class];
    *slab = (struct granule){.magic = SLAB,
                             .capacity = (GRANULE - HEADER) / size,
                             .size = size,
                             .class = (uint8_t)class};
    link_slab(slab);
  }
  void* chunk = slab->free;
  if (chunk != NULL)
    slab->free = *(void**)chunk;
  else
    chunk = (char*)slab + HEADER + (size_t)slab->fresh++ * slab->size;
  if (++slab->used == slab->capacity) unlink_slab(slab);
  return chunk;
}

/* A block of `granules` of those that were kept; none that wastes more than it needs. */
static struct granule* take_kept(size_t granules) {
  int best = -1;
  for (int i = 0; i < KEPT_BLOCKS; ++i) {
    if (kept[i] == NULL || kept[i]->granules < granules || kept[i]->granules / 2 > granules)
      continue;
    if (best < 0 || kept[i]->granules < kept[best]->granules) best = i;
  }
  if (best < 0) return NULL;
  struct granule* const block = kept[best];
  kept[best] = NULL;
  block->magic = LARGE;
  block->is_zero = 0;
  return block;
}

static void free_large(struct granule* block) {
  block->magic = 0;
  if (block->granules * GRANULE <= MAX_KEPT) {
    for (int i = 0; i < KEPT_BLOCKS; ++i) {
      if (kept[i] != NULL) continue;
      kept[i] = block;
      return;
    }
    /* The oldest goes. */
    struct granule* const oldest = kept[0];
    memmove(kept, kept + 1, sizeof kept - sizeof *kept);
    kept[KEPT_BLOCKS - 1] = block;
    block = oldest;
  }
  __munmap(block, block->granules * GRANULE);
}

static void* new_large(size_t n) {
  if (n > PTRDIFF_MAX) {
    errno = ENOMEM;
    return NULL;
  }
  const size_t granules = (n + HEADER + GRANULE - 1) / GRANULE;
  struct granule* block = take_kept(granules);
  if (block == NULL) {
    block = new_granules(granules);
    if (block == NULL) {
      drop_kept();
      block = new_granules(granules);
    }
    if (block == NULL) {
      errno = ENOMEM;
      return NULL;
    }
    *block = (struct granule){.magic = LARGE, .granules = granules, .is_zero = 1};
  }
  return (char*)block + HEADER;
}

void* __libc_malloc_impl(size_t n) {
  return n <= MAX_SMALL ? new_small(class_of(n)) : new_large(n);
}

static struct granule* granule_of(void* p) {
  struct granule* const granule = (struct granule*)(((uintptr_t)p - 1) & -(uintptr_t)GRANULE);
  if (granule->magic != SLAB && granule->magic != LARGE) a_crash();
  return granule;
}

void __libc_free(void* p) {
  if (p == NULL) return;
  struct granule* const granule = granule_of(p);
  if (granule->size == 0) {
    free_large(granule);
    return;
  }
  if (granule->used == 0) a_crash();
  if (granule->has_aligned) {
    const size_t offset = (size_t)((char*)p - (char*)granule) - HEADER;
    p = (char*)p - offset % granule->size;
  }
  if (granule->used-- == granule->capacity) link_slab(granule);
  *(void**)p = granule->free;
  granule->free = p;
  /* One slab of a class stays, or a program at the edge would take and give it all the time. */
  if (granule->used == 0 && (granule->next != NULL || granule->previous != NULL)) {
    unlink_slab(granule);
    granule->magic = 0;
    keep_slab(granule);
  }
}

size_t malloc_usable_size(void* p) {
  if (p == NULL) return 0;
  struct granule* const granule = granule_of(p);
  const size_t offset = (size_t)((char*)p - (char*)granule);
  if (granule->size == 0) return granule->granules * GRANULE - offset;
  return granule->size - (offset - HEADER) % granule->size;
}

void* __libc_realloc(void* p, size_t n) {
  if (p == NULL) return __libc_malloc_impl(n);
  const size_t room = malloc_usable_size(p);
  /* What shrinks to less than half moves, so that memory is not kept for nothing. */
  if (n <= room && (n >= room / 2 || room <= 64)) return p;
  /* What grows to be large will grow on: untouched memory costs nothing. */
  const size_t wanted = n > MAX_SMALL && n > room && n < PTRDIFF_MAX / 2 ? n + n / 4 : n;
  void* moved = __libc_malloc_impl(wanted);
  if (moved == NULL && wanted != n) moved = __libc_malloc_impl(n);
  if (moved == NULL) return n <= room ? p : NULL;
  memcpy(moved, p, n < room ? n : room);
  __libc_free(p);
  return moved;
}

void* aligned_alloc(size_t alignment, size_t n) {
  if (alignment == 0 || (alignment & (alignment - 1)) != 0) {
    errno = EINVAL;
    return NULL;
  }
  if (n > PTRDIFF_MAX || alignment > PTRDIFF_MAX / 2 || n > PTRDIFF_MAX - 2 * alignment) {
    errno = ENOMEM;
    return NULL;
  }
  if (alignment <= 16) return __libc_malloc_impl(n);
  if (n == 0) n = 1; /* or the place could be the next chunk's */
  if (alignment < GRANULE) {
    char* const p = __libc_malloc_impl(n + alignment - 16);
    if (p == NULL) return NULL;
    char* const aligned = (char*)(((uintptr_t)p + alignment - 1) & -(uintptr_t)alignment);
    struct granule* const granule = granule_of(p);
    /* Of a large block, the granule is still found if it begins in the first one. */
    if (aligned != p && granule->size != 0) granule->has_aligned = 1;
    return aligned;
  }
  /* A whole granule for the header, directly before. */
  const size_t step = alignment / GRANULE;
  const size_t granules = 1 + (n + GRANULE - 1) / GRANULE;
  char* const memory = new_granules(granules + step - 1);
  if (memory == NULL) {
    errno = ENOMEM;
    return NULL;
  }
  char* const aligned =
      (char*)(((uintptr_t)memory + GRANULE + alignment - 1) & -(uintptr_t)alignment);
  struct granule* const block = (struct granule*)(aligned - GRANULE);
  const size_t before = (size_t)((char*)block - memory);
  if (before != 0) __munmap(memory, before);
  const size_t behind = (step - 1) * GRANULE - before;
  if (behind != 0) __munmap((char*)block + granules * GRANULE, behind);
  *block = (struct granule){.magic = LARGE, .granules = granules, .is_zero = 1};
  return aligned;
}

/* For calloc: a large block that is new. */
int __malloc_allzerop(void* p) {
  const struct granule* const granule = granule_of(p);
  return granule->size == 0 && granule->is_zero;
}

/* musl's own: memory of the program's that could be used, and locks. There is neither here. */
void __malloc_donate(char* start, char* end) {
  (void)start;
  (void)end;
}
void __malloc_atfork(int who) { (void)who; }
