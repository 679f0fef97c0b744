# Reserved for new instructions.
# expect: V05 @0x0
	.text
	.byte 0x0f, 0x19, 0xc0
