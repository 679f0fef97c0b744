# The target wraps below address 0.
# expect: V11 @0x0
	.text
	movl -0x500000(%rip), %eax
