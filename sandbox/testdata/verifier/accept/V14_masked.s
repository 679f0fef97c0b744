# Masked jumps and calls.
# expect: accept
	.text
	andl $-32, %eax
	jmp *%rax
	andl $-32, %r11d
	jmp *%r11
	andl $-32, %ebp
	call *%rbp
	andl $-32, %r12d
	call *%r12
