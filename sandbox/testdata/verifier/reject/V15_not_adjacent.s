# The return address changes after the mask.
# expect: V15 @0x9
	.text
	andq $0x7fffffe0, (%rsp)
	popq %rax
	ret
