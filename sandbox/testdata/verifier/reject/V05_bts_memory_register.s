# Even with 67: the manual does not say what is truncated.
# expect: V05 @0x0
	.text
	.byte 0x67, 0x48, 0x0f, 0xab, 0x08
