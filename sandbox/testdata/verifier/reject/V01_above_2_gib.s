# The last byte of the code is above 2 GiB: a masked return could not reach it.
# base: 0x7fffffe0
# expect: V01 @0x0
	.text
	.zero 64, 0xcc
