# A scalar instruction with VEX.L: ignored, so not canonical.
# isa: 3
# expect: V05 @0x0
	.text
	.byte 0xc5, 0xfe, 0x58, 0xc1
