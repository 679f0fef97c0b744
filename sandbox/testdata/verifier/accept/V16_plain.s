# Direct branches of all sizes.
# expect: accept
	.text
1:
	jmp 1b
	je 1b
	.byte 0xe9, 0, 0, 0, 0
	.byte 0x0f, 0x84, 0, 0, 0, 0
	call 1b
