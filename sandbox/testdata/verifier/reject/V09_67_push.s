# 67 before push.
# expect: V09 @0x0
	.text
	.byte 0x67, 0x50
