# Reads system flags.
# expect: V05 @0x0
	.text
	pushfq
