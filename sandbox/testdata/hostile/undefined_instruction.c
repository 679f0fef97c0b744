/* Runs an undefined instruction. */
/* expect: faulted 4 */
int main(void) { __builtin_trap(); }
