# Nothing says where the jump goes.
# expect: V14 @0x0
	.text
	jmp *%rax
