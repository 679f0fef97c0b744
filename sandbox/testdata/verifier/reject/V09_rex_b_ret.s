# REX.B before ret.
# expect: V09 @0x8
	.text
	andq $0x7fffffe0, (%rsp)
	.byte 0x41, 0xc3
