# An approximation: vendors differ.
# expect: V05 @0x0
	.text
	rsqrtss %xmm0, %xmm1
