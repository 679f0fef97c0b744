# rsp, sp or spl is written.
# expect: V13 @0x0
	.text
	leaq 8(%rsp), %rsp
