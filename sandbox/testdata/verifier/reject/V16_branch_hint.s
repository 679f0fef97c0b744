# A prefix before a direct branch.
# expect: V16 @0x0
	.text
	.byte 0x2e, 0x74, 0x00
