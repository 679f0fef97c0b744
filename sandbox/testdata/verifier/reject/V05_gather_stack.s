# A gather with rsp as base looks like a stack operand.
# isa: 3
# expect: V05 @0x0
	.text
	vpgatherqq %ymm1, (%rsp,%ymm4,1), %ymm0
