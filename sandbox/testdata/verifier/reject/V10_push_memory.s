# push reads memory.
# expect: V10 @0x0
	.text
	pushq (%rax)
