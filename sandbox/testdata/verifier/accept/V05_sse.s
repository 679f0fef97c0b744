# SSE to SSE4.2.
# expect: accept
	.text
	movaps %xmm0, %xmm1
	movss (%eax), %xmm2
	movsd %xmm3, 8(%rsp)
	addpd %xmm0, %xmm1
	cvtsi2sdq %rax, %xmm0
	cvttss2si %xmm0, %eax
	.p2align 5, 0x90
	movmskpd %xmm0, %eax
	pmovmskb %xmm1, %ecx
	sqrtsd %xmm0, %xmm0
	movq %rax, %xmm0
	movq %xmm0, %rax
	movd %xmm0, %eax
	.p2align 5, 0x90
	pshufd $0x4e, %xmm0, %xmm1
	pslldq $8, %xmm0
	cmpeqps %xmm0, %xmm1
	pinsrw $1, %eax, %xmm0
	pextrw $1, %xmm0, %eax
	.p2align 5, 0x90
	pshufb %xmm0, %xmm1
	pmulld %xmm0, %xmm1
	roundsd $1, %xmm0, %xmm0
	pextrq $1, %xmm0, %rax
	.p2align 5, 0x90
	pinsrd $1, %eax, %xmm0
	pcmpistri $0, %xmm0, %xmm1
	movntdq %xmm0, (%eax)
	movq (%eax), %xmm0
	.p2align 5, 0x90
	ldmxcsr (%rsp)
	stmxcsr -4(%rsp)
	lddqu (%eax), %xmm0
