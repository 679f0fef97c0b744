# Pops more than the masked address.
# expect: V05 @0x0
	.text
	ret $8
