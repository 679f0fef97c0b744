# To an instruction, to the mask of a pair, to a bundle.
# expect: accept
	.text
1:
	jmp 2f
2:
	andq $0x7fffffe0, (%rsp)
	ret
	je 2b
	call 3f
	.p2align 5, 0x90
3:
	jmp 1b
