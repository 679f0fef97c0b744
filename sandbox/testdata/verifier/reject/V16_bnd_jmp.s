# A prefix before a direct branch.
# expect: V16 @0x0
	.text
	.byte 0xf2, 0xeb, 0x00
