# rsp is written.
# isa: 3
# expect: V13 @0x0
	.text
	shlxq %rax, %rcx, %rsp
