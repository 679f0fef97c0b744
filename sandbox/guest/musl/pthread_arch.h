/* There is one thread, so its descriptor is in a variable. */
extern uintptr_t __zvm_thread;
static inline uintptr_t __get_tp() { return __zvm_thread; }
#define MC_PC gregs[REG_RIP]
