# A 32-bit mask leaves the upper half.
# expect: V15 @0x7
	.text
	andl $0x7fffffe0, (%rsp)
	ret
