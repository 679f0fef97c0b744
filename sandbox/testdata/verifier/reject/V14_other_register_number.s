# r8 is not eax, though its number ends alike.
# expect: V14 @0x4
	.text
	andl $-32, %r8d
	jmp *%rax
