# rsp is written.
# isa: 3
# expect: V13 @0x0
	.text
	vmovq %xmm0, %rsp
