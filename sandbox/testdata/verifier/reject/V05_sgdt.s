# Reads a system register.
# expect: V05 @0x0
	.text
	addr32 sgdt (%rsp)
