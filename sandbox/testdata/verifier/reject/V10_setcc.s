# A 64-bit address in an instruction that is otherwise allowed.
# expect: V10 @0x0
	.text
	sete (%rax)
