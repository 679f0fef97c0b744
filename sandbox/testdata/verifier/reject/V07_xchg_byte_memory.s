# As xchg.
# expect: V07 @0x0
	.text
	xchgb %al, (%rsp)
