# The register changes after the mask.
# expect: V14 @0x5
	.text
	andl $-32, %eax
	incl %eax
	jmp *%rax
