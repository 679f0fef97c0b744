# Over the mask, to the return.
# expect: V17 @0x0
	.text
	jmp 1f
	andq $0x7fffffe0, (%rsp)
1:
	ret
