# rsp, sp or spl is written.
# expect: V13 @0x0
	.text
	shldq $1, %rax, %rsp
