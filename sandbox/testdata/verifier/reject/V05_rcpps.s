# An approximation: vendors differ.
# expect: V05 @0x0
	.text
	rcpps %xmm0, %xmm1
