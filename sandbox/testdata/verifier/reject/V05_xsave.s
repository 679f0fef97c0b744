# Stores more than 64 bytes of state.
# expect: V05 @0x0
	.text
	addr32 xsave (%rsp)
