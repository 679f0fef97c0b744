/* A byte-code machine whose program counts the Collatz steps of the numbers up to WORK: a switch,
 * so a jump through a table, for each instruction. */
#include "kernel.h"

enum {
  kLoad,
  kAddImmediate,
  kTimes3Plus1,
  kHalf,
  kJumpIfOdd,
  kJumpIfOne,
  kJumpIfLess,
  kJump,
  kHalt
};

struct instruction {
  unsigned char operation, a, b;
  signed char target; /* relative to the next one */
};

/* r0: number, r1: its value now, r2: steps, r3: limit */
static const struct instruction program[] = {
    {kAddImmediate, 0, 1, 0},  // the next number
    {kJumpIfLess, 3, 0, 8},    // past the limit: halt
    {kLoad, 1, 0, 0},          //
    {kJumpIfOne, 1, 0, -4},    // done with this number
    {kAddImmediate, 2, 1, 0},  //
    {kJumpIfOdd, 1, 0, 2},     //
    {kHalf, 1, 0, 0},          //
    {kJump, 0, 0, -5},         // to kJumpIfOne
    {kTimes3Plus1, 1, 0, 0},   //
    {kJump, 0, 0, -7},         // to kJumpIfOne
    {kHalt, 0, 0, 0},          //
};

static NOINLINE uint64_t run(uint64_t limit, uint64_t* executed) {
  uint64_t r[4] = {0, 0, 0, limit}, count = 0;
  for (const struct instruction* at = program;; ++count) {
    const struct instruction* i = at++;
    switch (i->operation) {
      case kLoad:
        r[i->a] = r[i->b];
        break;
      case kAddImmediate:
        r[i->a] += i->b;
        break;
      case kTimes3Plus1:
        r[i->a] = 3 * r[i->a] + 1;
        break;
      case kHalf:
        r[i->a] /= 2;
        break;
      case kJumpIfOdd:
        at += r[i->a] & 1 ? i->target : 0;
        break;
      case kJumpIfOne:
        at += r[i->a] == 1 ? i->target : 0;
        break;
      case kJumpIfLess:
        at += r[i->a] < r[i->b] ? i->target : 0;
        break;
      case kJump:
        at += i->target;
        break;
      case kHalt:
        *executed = count;
        return r[2];
    }
  }
}

int main(int argc, char** argv) {
  const long work = kernel_work(argc, argv);
  uint64_t executed = 0;
  const uint64_t steps = run((uint64_t)work, &executed);
  printf("%llu %llu\n", (unsigned long long)steps, (unsigned long long)executed);
  return 0;
}
