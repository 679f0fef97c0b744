# A segment prefix.
# expect: V08 @0x0
	.text
	movl %fs:0, %eax
