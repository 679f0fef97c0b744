# A 32-bit address is sign-extended: this is in the kernel.
# expect: V10 @0x0
	.text
	movl 0xffffffff81000000, %eax
