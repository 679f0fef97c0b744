# rsp with an index.
# expect: V10 @0x0
	.text
	movl (%rsp,%rax), %eax
