/* Divides by zero. */
/* expect: faulted 8 */
int main(int argc, char** argv) {
  (void)argv;
  volatile int zero = 0;
  return argc / zero;
}
