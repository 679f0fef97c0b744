# A prefix before a direct branch. AMD cuts rip to 16 bits, Intel ignores it.
# expect: V16 @0x0
	.text
	.byte 0x66, 0xe8, 0, 0, 0, 0
