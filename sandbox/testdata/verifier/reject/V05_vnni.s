# AVX-VNNI is not of level 3.
# isa: 3
# expect: V05 @0x0
	.text
	{vex} vpdpbusd %xmm0, %xmm1, %xmm2
