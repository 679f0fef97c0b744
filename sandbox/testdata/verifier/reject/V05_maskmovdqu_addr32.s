# Even with 32-bit addresses: nothing needs it.
# expect: V05 @0x0
	.text
	addr32 maskmovdqu %xmm0, %xmm1
