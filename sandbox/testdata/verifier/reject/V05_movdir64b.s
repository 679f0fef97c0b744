# Stores 64 bytes through a register.
# expect: V05 @0x0
	.text
	movdir64b (%rsp), %rax
