# Over the mask, to the jump.
# expect: V17 @0x0
	.text
	jne 1f
	andl $-32, %eax
1:
	jmp *%rax
