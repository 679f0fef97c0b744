# An instruction with two operands whose vvvv names a third.
# isa: 3
# expect: V02 @0x0
	.text
	.byte 0xc5, 0xf0, 0x10, 0xc1
