# 3E FF is refused for its prefix; F2 FF (bnd) for its opcode.
# expect: V05 @0x3
	.text
	andl $-32, %eax
	.byte 0xf2, 0xff, 0xe0
