# rsp is written.
# isa: 3
# expect: V13 @0x0
	.text
	vpextrq $1, %xmm0, %rsp
