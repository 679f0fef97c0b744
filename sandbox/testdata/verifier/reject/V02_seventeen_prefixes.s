# More than 15 bytes are no instruction.
# expect: V02 @0x0
	.text
	.fill 16, 1, 0x66
	nop
