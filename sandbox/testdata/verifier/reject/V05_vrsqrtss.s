# An approximation.
# isa: 3
# expect: V05 @0x0
	.text
	vrsqrtss %xmm0, %xmm1, %xmm2
