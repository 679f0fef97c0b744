# CE, into of 32-bit mode.
# expect: V02 @0x0
	.text
	.byte 0xce
