# 8E: loads a segment register. Its mnemonic is mov.
# expect: V05 @0x0
	.text
	movl %eax, %ds
