# The bytes of a mask inside an immediate are no mask.
# expect: V14 @0x5
	.text
	movl $0xe0e08390, %eax
	jmp *%rax
