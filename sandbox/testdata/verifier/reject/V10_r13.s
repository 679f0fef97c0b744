# r13 has the number of rip in ModRM, with mod 1.
# expect: V10 @0x0
	.text
	movl (%r13), %eax
