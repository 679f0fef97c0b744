# SIB index 4 of a gather is ymm4, not "no index": an arbitrary 64-bit address.
# isa: 3
# expect: V05 @0x0
	.text
	vpgatherqq %ymm1, (,%ymm4,1), %ymm0
