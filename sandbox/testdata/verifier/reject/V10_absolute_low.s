# Absolute addresses need 67 too.
# expect: V10 @0x0
	.text
	movl 0x20000, %eax
