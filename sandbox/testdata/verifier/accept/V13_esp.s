# esp may be written, rsp read; ah has the number of spl.
# expect: accept
	.text
	subl $40, %esp
	movl %ebp, %esp
	leal -32(%rbp), %esp
	andl $-64, %esp
	addl %eax, %esp
	movl (%eax), %esp
	movq %rsp, %rbp
	cmpq %rsp, %rax
	movb %al, %ah
	pushq %rsp
	popq %r12
	movq %rax, %r12
