# icebp.
# expect: V05 @0x0
	.text
	.byte 0xf1
