# Loads PKRU and more.
# expect: V05 @0x0
	.text
	addr32 xrstor (%rsp)
