# As far as a displacement goes.
# expect: V17 @0x0
	.text
	.byte 0xe8, 0, 0, 0, 0x80
