# The code is not mapped at a bundle boundary.
# base: 0x400010
# expect: V01 @0x0
	.text
	nop
