# r12 has the number of rsp in ModRM.
# expect: V10 @0x0
	.text
	movl (%r12), %eax
