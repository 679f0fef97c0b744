# A 16-bit mask leaves the upper bits.
# expect: V14 @0x4
	.text
	andw $-32, %ax
	jmp *%rax
