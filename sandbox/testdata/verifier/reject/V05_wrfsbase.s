# Moves the runtime's thread data.
# expect: V05 @0x0
	.text
	wrfsbase %rax
