# Code ends at 2 GiB, so a displacement of 31 bits stays below 4 GiB.
# base: 0x7fffffe0
# expect: accept
	.text
	movl 0x7fffffff(%rip), %eax
