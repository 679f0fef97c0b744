# BMI1, BMI2, LZCNT, MOVBE.
# isa: 3
# expect: accept
	.text
	andnq %rax, %rcx, %rdx
	blsrl %eax, %ecx
	bzhiq %rax, %rcx, %rdx
	pdepq %rax, %rcx, %rdx
	mulxq %rax, %rcx, %rdx
	rorxq $3, %rax, %rcx
	.p2align 5, 0x90
	shlxl %eax, %ecx, %edx
	lzcntq %rax, %rcx
	tzcntw %ax, %cx
	movbel (%eax), %ecx
