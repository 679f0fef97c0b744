# Reads the address of the runtime's thread data.
# expect: V05 @0x0
	.text
	rdfsbase %rax
