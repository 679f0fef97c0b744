# A five-byte instruction begins two bytes before the end of the bundle.
# expect: V03 @0x1e
	.text
	.zero 30, 0x90
	movl $0x050f, %eax
