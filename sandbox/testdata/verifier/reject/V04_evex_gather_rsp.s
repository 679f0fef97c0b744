# An EVEX gather with rsp as base looks like a stack operand.
# isa: 3
# expect: V04 @0x0
	.text
	vpgatherqq (%rsp,%ymm20,1), %ymm0 {%k1}
