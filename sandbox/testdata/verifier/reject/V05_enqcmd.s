# Stores through a register.
# expect: V05 @0x0
	.text
	enqcmd (%rsp), %rax
