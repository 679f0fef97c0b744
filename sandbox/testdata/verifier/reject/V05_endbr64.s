# Nothing needs it, and its space is for new instructions.
# expect: V05 @0x0
	.text
	endbr64
