# As bt.
# expect: V05 @0x0
	.text
	addr32 btrl %eax, (%rsp)
