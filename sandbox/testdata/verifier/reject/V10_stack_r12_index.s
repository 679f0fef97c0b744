# Index 4 with REX.X is r12, not none.
# expect: V10 @0x0
	.text
	movl (%rsp,%r12), %eax
