# The last instruction needs bytes beyond the code.
# expect: V03 @0x1f
	.text
	.zero 31, 0x90
	.byte 0xb8
