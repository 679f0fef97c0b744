# 67, 66, F3 and REX where each has an effect.
# expect: accept
	.text
	.byte 0x67, 0x66, 0xf3, 0x0f, 0xb8, 0x08
	addr32 rep movsq
	movb %sil, %al
	movw %ax, (%r8d)
