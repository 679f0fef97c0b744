# The first byte behind the code.
# expect: V17 @0x0
	.text
	.byte 0xe9, 0x1b, 0, 0, 0
