# rsp is written.
# isa: 3
# expect: V13 @0x0
	.text
	vcvttsd2si %xmm0, %rsp
