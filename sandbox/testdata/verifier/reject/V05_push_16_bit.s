# A 16-bit push misaligns the stack for nothing.
# expect: V05 @0x0
	.text
	pushw %ax
