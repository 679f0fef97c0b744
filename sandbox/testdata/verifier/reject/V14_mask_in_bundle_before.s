# A jump could land between the two.
# expect: V14 @0x20
	.text
	.zero 29, 0x90
	andl $-32, %eax
	jmp *%rax
