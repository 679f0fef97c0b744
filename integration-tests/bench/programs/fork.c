/* What noop.c does, after a fork: a session of its snapshot begins there. */
#include <zvm.h>

int main(void) { return zvm_fork(); }
