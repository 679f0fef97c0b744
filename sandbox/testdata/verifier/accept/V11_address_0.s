# Address 0 is unmapped, but below 4 GiB.
# expect: accept
	.text
	movl -0x400006(%rip), %eax
