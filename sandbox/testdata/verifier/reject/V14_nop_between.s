# Even a NOP between leaves a place to jump to.
# expect: V14 @0x4
	.text
	andl $-32, %eax
	nop
	jmp *%rax
