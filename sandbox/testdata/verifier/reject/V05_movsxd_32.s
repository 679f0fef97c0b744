# 63 without REX.W has no use.
# expect: V05 @0x0
	.text
	.byte 0x63, 0xc0
