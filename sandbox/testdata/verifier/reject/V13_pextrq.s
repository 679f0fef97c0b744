# rsp, sp or spl is written.
# expect: V13 @0x0
	.text
	pextrq $1, %xmm0, %rsp
