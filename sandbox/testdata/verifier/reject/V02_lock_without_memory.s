# LOCK before an instruction that cannot be locked.
# expect: V02 @0x0
	.text
	.byte 0xf0, 0x90
