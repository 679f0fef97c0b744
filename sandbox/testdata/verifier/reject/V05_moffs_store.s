# A 64-bit address in the instruction.
# expect: V05 @0x0
	.text
	movabs %al, 0x7fff00000000
