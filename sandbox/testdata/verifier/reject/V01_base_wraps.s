# Base plus size wraps around 2^64.
# base: 0xffffffffffffffe0
# expect: V01 @0x0
	.text
	nop
