# A 16-bit pop.
# expect: V05 @0x0
	.text
	popw %ax
