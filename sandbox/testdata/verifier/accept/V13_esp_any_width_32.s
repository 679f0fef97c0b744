# Every other way to write esp is fine too.
# expect: accept
	.text
	xchgl %eax, %esp
	xaddl %esp, %ecx
	cmovel %eax, %esp
	bsfl %eax, %esp
	movd %xmm0, %esp
	pmovmskb %xmm0, %esp
	bswapl %esp
	movzbl %al, %esp
