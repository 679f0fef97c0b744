# C1 /6 is an undocumented alias of shl.
# expect: V05 @0x0
	.text
	.byte 0xc1, 0xf0, 0x01
