# A 64-bit mask leaves the upper half.
# expect: V14 @0x4
	.text
	andq $-32, %rax
	jmp *%rax
