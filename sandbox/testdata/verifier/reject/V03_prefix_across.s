# The prefix is the last byte of the bundle, the opcode the first of the next.
# expect: V03 @0x1f
	.text
	.zero 31, 0x90
	.byte 0x66, 0x89, 0xc1
