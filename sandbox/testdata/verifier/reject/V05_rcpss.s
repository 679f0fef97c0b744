# An approximation: vendors differ.
# expect: V05 @0x0
	.text
	rcpss %xmm0, %xmm1
