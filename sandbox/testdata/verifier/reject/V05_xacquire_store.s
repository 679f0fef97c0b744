# F2 before mov is a hint on some processors.
# expect: V05 @0x0
	.text
	.byte 0x67, 0xf2, 0x89, 0x00
