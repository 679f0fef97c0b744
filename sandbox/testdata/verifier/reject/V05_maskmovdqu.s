# Stores through a 64-bit rdi, whatever its operands say.
# expect: V05 @0x0
	.text
	maskmovdqu %xmm0, %xmm1
