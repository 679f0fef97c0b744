# A segment prefix.
# expect: V08 @0x0
	.text
	movl %gs:(%eax), %eax
