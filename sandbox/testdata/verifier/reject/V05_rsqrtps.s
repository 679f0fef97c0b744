# An approximation: vendors differ.
# expect: V05 @0x0
	.text
	rsqrtps %xmm0, %xmm1
