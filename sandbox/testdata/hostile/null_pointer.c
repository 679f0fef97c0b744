/* Reads through a null pointer. */
/* expect: faulted 11 */
int main(void) { return *(volatile int*)0; }
