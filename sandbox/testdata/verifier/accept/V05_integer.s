# What compilers make of integers.
# expect: accept
	.text
	addl %eax, %ecx
	adcq $5, %r8
	sbbb %al, %sil
	movslq %edi, %rax
	movabsq $0x1122334455667788, %r11
	.p2align 5, 0x90
	xorw $0x1234, %ax
	imulq $1000, %rdx, %rsi
	imull %ecx, %edx
	cqto
	idivq %r9
	shldq $3, %rax, %rdx
	sarl %cl, %edi
	.p2align 5, 0x90
	rolw $3, %cx
	.p2align 5, 0x90
	cmovgeq %rax, %rbx
	sete %bpl
	movzbl %dil, %eax
	movswq %ax, %r10
	bswapq %r12
	bsfl %eax, %ecx
	btq $5, %rax
	btsq %rcx, %rdx
	.p2align 5, 0x90
	xchgq %rax, %r15
	xchgl %ebx, %ecx
	cmpxchgl %ecx, (%eax)
	.p2align 5, 0x90
	popcntq %rax, %rcx
	crc32b %al, %ecx
	crc32q %rax, %rcx
	pause
	.p2align 5, 0x90
	cld
	std
	cmc
	lahf
	sahf
	mfence
	lfence
	sfence
	ud2
	hlt
	int3
	.p2align 5, 0x90
	movnti %rax, (%edi)
	prefetcht0 (%eax)
