# The mask is on another register.
# expect: V14 @0x3
	.text
	andl $-32, %ecx
	jmp *%rax
