# Not of any x86-64 level.
# expect: V05 @0x0
	.text
	aesenc %xmm0, %xmm1
