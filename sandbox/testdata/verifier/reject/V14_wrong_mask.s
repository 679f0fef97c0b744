# 16-byte bundles are not ours.
# expect: V14 @0x3
	.text
	andl $-16, %eax
	jmp *%rax
