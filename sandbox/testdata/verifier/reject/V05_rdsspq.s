# Shadow stack.
# expect: V05 @0x0
	.text
	rdsspq %rax
