/* Overwrites its return address: the return goes to a bundle of the low 2 GiB, where nothing lies.
 */
/* expect: faulted 11 */
__attribute__((noinline)) static void forge(unsigned long address) {
  unsigned long* volatile frame = __builtin_frame_address(0);
  frame[1] = address;
}
int main(void) {
  forge(0x7fff12345678);
  return 0;
}
