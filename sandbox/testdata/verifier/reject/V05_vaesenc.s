# Not of any x86-64 level.
# isa: 3
# expect: V05 @0x0
	.text
	vaesenc %xmm0, %xmm1, %xmm2
