# ud0, of which processors disagree whether it has a ModRM byte.
# expect: V05 @0x0
	.text
	.byte 0x0f, 0xff, 0xc0
