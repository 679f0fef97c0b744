# xchg with memory locks without a prefix.
# expect: V07 @0x0
	.text
	xchgl %eax, (%rsp)
