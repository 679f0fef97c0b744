# 66 before an 8-bit operation.
# expect: V05 @0x0
	.text
	.byte 0x66, 0x88, 0xc1
