# EVEX: vmovups %zmm0, %zmm1.
# isa: 3
# expect: V04 @0x0
	.text
	vmovups %zmm0, %zmm1
