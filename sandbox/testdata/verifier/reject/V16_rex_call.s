# A prefix before a direct branch.
# expect: V16 @0x0
	.text
	.byte 0x48, 0xe8, 0, 0, 0, 0
