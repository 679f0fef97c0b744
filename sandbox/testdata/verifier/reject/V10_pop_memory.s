# pop writes memory.
# expect: V10 @0x0
	.text
	popq (%rax)
