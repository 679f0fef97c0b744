# Stores through a 64-bit rdi.
# isa: 3
# expect: V05 @0x0
	.text
	vmaskmovdqu %xmm0, %xmm1
