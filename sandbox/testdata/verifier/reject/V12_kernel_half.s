# 2 GiB below a small rsp is an address of the kernel.
# expect: V12 @0x0
	.text
	movl -0x80000000(%rsp), %eax
