# DC D0 is an undocumented alias of fcom.
# expect: V05 @0x0
	.text
	.byte 0xdc, 0xd0
