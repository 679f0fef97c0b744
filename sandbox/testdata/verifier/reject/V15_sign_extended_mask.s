# -32 leaves the upper bits.
# expect: V15 @0x5
	.text
	andq $-32, (%rsp)
	ret
