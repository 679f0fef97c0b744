# Behind the 67 that confines the operand.
# expect: V17 @0x0
	.text
	jmp 1f+1
1:
	movl (%eax), %eax
