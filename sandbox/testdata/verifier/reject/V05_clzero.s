# Writes a cache line at rax.
# expect: V05 @0x0
	.text
	clzero
