/* Reads the null page in a function with a name. */
__attribute__((noinline)) int ReadFrom(volatile int* address) { return *address; }

int main(void) { return ReadFrom((volatile int*)16); }
