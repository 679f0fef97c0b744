# lea accesses nothing, so any address will do.
# expect: accept
	.text
	leaq (%rax,%rcx,8), %rdx
	leaq 5(%rsp,%rax), %rdx
	leaq -0x7fffffff(%rip), %rax
	leal (%edi,%esi), %eax
