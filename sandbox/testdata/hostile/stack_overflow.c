/* Recurses for ever. */
/* expect: faulted 11 */
__attribute__((noinline)) static int descend(volatile int* above) {
  volatile int here = *above + 1;
  return descend(&here) + here;
}
int main(void) {
  volatile int start = 0;
  return descend(&start);
}
