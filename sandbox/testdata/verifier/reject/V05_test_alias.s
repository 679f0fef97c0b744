# F7 /1 is an undocumented alias of test.
# expect: V05 @0x0
	.text
	.byte 0xf7, 0xc8, 0, 0, 0, 0
