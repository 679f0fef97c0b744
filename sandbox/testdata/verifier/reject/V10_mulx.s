# mulx reads memory.
# isa: 3
# expect: V10 @0x0
	.text
	mulxq (%rdi), %rax, %rcx
