# 83 /1 is or.
# expect: V14 @0x3
	.text
	orl $-32, %eax
	jmp *%rax
