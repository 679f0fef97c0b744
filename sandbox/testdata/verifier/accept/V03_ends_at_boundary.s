# An instruction may end exactly where the bundle ends.
# expect: accept
	.text
	.zero 27, 0x90
	movl $0x050f, %eax
	nop
