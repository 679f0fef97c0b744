# The mask is in one bundle, the return in the next, where a jump could land.
# expect: V15 @0x20
	.text
	.zero 24,0x90
	andq $0x7fffffe0, (%rsp)
	ret
	.p2align 5, 0xcc
