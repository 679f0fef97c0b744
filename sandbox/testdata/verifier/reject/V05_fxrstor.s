# Loads x87 state.
# expect: V05 @0x0
	.text
	addr32 fxrstor (%rsp)
