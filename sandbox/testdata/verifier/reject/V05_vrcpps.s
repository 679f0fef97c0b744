# An approximation.
# isa: 3
# expect: V05 @0x0
	.text
	vrcpps %ymm0, %ymm1
