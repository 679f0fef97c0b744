# An image of level 3 may use level 2.
# isa: 3
# expect: accept
	.text
	popcntl %eax, %ecx
	bsfl %eax, %ecx
