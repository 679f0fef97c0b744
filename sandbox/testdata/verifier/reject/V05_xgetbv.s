# Tells machines apart.
# expect: V05 @0x0
	.text
	xgetbv
