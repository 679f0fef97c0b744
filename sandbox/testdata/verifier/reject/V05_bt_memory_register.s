# The bit number moves the address by up to 2^60 bytes.
# expect: V05 @0x0
	.text
	btq %rax, (%rsp)
