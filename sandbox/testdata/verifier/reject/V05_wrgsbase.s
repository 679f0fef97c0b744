# Moves gs.
# expect: V05 @0x0
	.text
	wrgsbase %rax
