# A 64-bit index.
# expect: V10 @0x0
	.text
	movl (,%rax,8), %eax
