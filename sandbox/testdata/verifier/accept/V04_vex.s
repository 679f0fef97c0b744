# VEX is fine at level 3.
# isa: 3
# expect: accept
	.text
	vmovups %ymm0, %ymm1
	vzeroupper
