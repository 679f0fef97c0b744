# rip with a 32-bit address: nothing needs it.
# expect: V11 @0x0
	.text
	.byte 0x67, 0x8b, 0x05, 0, 0, 0, 0
