# A 64-bit base.
# expect: V10 @0x0
	.text
	movl (%rax), %eax
