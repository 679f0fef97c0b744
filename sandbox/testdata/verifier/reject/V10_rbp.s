# rbp is no stack pointer.
# expect: V10 @0x0
	.text
	movl %eax, -8(%rbp)
