# 06 (push es) does not exist in 64-bit mode.
# expect: V02 @0x0
	.text
	.byte 0x06
