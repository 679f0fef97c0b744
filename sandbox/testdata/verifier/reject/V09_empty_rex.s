# REX without a bit where no byte register needs it.
# expect: V09 @0x0
	.text
	.byte 0x40, 0x89, 0xc1
