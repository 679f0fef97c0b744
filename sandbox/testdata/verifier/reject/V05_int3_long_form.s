# int $3 with its two bytes is a software interrupt like others.
# expect: V05 @0x0
	.text
	.byte 0xcd, 0x03
