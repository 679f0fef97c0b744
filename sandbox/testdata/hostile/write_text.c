/* Writes to its own text. */
/* expect: faulted 11 */
int main(void) {
  *(volatile unsigned char*)(unsigned long)main = 0x90;
  return 0;
}
