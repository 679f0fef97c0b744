# Stores pointers of the x87.
# expect: V05 @0x0
	.text
	addr32 fxsave (%rsp)
