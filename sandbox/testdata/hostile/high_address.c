/* Writes to an address above 4 GiB: the address is cut to its low half, where nothing is mapped. */
/* expect: faulted 11 */
int main(void) {
  *(volatile int*)0x7fff00000100 = 1;
  return 0;
}
