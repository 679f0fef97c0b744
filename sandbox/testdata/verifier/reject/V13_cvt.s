# rsp, sp or spl is written.
# expect: V13 @0x0
	.text
	cvttsd2si %xmm0, %rsp
