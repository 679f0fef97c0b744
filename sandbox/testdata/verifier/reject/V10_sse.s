# A vector load.
# expect: V10 @0x0
	.text
	movups (%rdi), %xmm0
