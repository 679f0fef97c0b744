# 32-bit addresses, rip, and rsp alone.
# expect: accept
	.text
	movl (%eax), %eax
	movl 8(%r12d,%ecx,4), %eax
	movl x(%rip), %eax
	movl 0x7fffffff(%rsp), %eax
	.p2align 5, 0x90
x:
	pushq 8(%rsp)
	popq (%eax)
	addr32 movl 0x20000, %eax
	leaq (%rax,%rcx,8), %rdx
	leaq 0x12345678, %rax
