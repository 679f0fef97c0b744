/* Ways that control moves: setjmp, computed goto, switch tables, variable arguments, variable
 * arrays, recursion, thread-local variables, atomics, signals to itself. */
#include <alloca.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static jmp_buf here;
static _Thread_local int counter = 40;
static _Thread_local long zeroed[3];
extern _Thread_local int counter2;
_Thread_local int counter2 = 7;

static void deep(int n) {
  volatile char pad[100];
  memset((char*)pad, n, sizeof pad);
  if (n == 0) longjmp(here, 5);
  deep(n - 1);
}

static int interpret(const unsigned char* code) {
  static void* const labels[] = {&&push, &&add, &&mul, &&stop};
  int stack[10], top = 0;
  goto* labels[*code];
push:
  stack[top++] = code[1];
  code += 2;
  goto* labels[*code];
add:
  --top;
  stack[top - 1] += stack[top];
  goto* labels[*++code];
mul:
  --top;
  stack[top - 1] *= stack[top];
  goto* labels[*++code];
stop:
  return stack[0];
}

static double sum(int n, ...) {
  va_list list;
  va_start(list, n);
  double total = 0;
  for (int i = 0; i < n; ++i) total += i % 2 ? va_arg(list, double) : va_arg(list, int);
  va_end(list);
  return total;
}

__attribute__((noinline)) static int choose(int x) {
  switch (x) {
    case 0:
      return 10;
    case 1:
      return counter++;
    case 2:
      return 37 + x;
    case 3:
      return (int)strlen("three");
    case 4:
      return -1;
    case 5:
      return 1 << x;
    case 6:
      return x * x * x;
    default:
      return 0;
  }
}

__attribute__((noinline, aligned(64))) static long arrays(int n) {
  int variable[n];
  char* more = alloca((size_t)n * 3);
  _Alignas(64) char aligned[64];
  for (int i = 0; i < n; ++i) variable[i] = i;
  memset(more, 1, (size_t)n * 3);
  long total = (long)((size_t)aligned % 64);
  for (int i = 0; i < n; ++i) total += variable[i] + more[i];
  return total;
}

struct wide {
  long a, b, c, d;
};

__attribute__((noinline)) static struct wide make(long x) {
  return (struct wide){x, x * 2, x * 3, x * 4};
}

static volatile sig_atomic_t caught;
static void handler(int signal) { caught = signal; }

static long ackermann(long m, long n) {
  if (m == 0) return n + 1;
  return n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

int main(void) {
  const int jumped = setjmp(here);
  if (jumped == 0) deep(50);
  printf("longjmp gave %d\n", jumped);
  sigjmp_buf there;
  if (sigsetjmp(there, 1) == 0) siglongjmp(there, 1);

  static const unsigned char code[] = {0, 6, 0, 7, 2, 0, 8, 1, 3};
  printf("interpreted %d\n", interpret(code));
  printf("sum %g\n", sum(4, 1, 2.5, 3, 4.25));
  for (int i = 0; i < 8; ++i) printf("%d ", choose(i));
  printf("| %d %d %ld\n", counter, counter2, zeroed[0] + zeroed[2]);
  printf("arrays %ld\n", arrays(1000));
  const struct wide w = make(11);
  printf("wide %ld %ld\n", w.a + w.b, w.c + w.d);

  atomic_int a = 5;
  atomic_long b = 100;
  int expected = 9;
  printf("%d ", atomic_exchange(&a, 9));
  printf("%d ", atomic_compare_exchange_strong(&a, &expected, 12));
  printf("%ld ", atomic_fetch_add(&b, -30));
  printf("%d %ld\n", a, b);
  unsigned char byte = 3;
  unsigned short half = 1000;
  unsigned char old_byte = __atomic_exchange_n(&byte, 200, __ATOMIC_SEQ_CST);
  unsigned short old_half = __atomic_exchange_n(&half, 60000, __ATOMIC_SEQ_CST);
  printf("%d %d %d %d\n", old_byte, byte, old_half, half);

  signal(SIGUSR1, handler);
  raise(SIGUSR1);
  printf("caught %d\n", caught == SIGUSR1);
  printf("ackermann %ld\n", ackermann(2, 300));
  return 0;
}
