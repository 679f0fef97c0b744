# 67 before ret.
# expect: V09 @0x8
	.text
	andq $0x7fffffe0, (%rsp)
	.byte 0x67, 0xc3
