# String instructions with 32-bit addresses.
# expect: accept
	.text
	addr32 movsb
	addr32 rep movsq
	addr32 rep stosl
	addr32 stosw
	addr32 lodsq
	addr32 repne scasb
	addr32 repe cmpsb
