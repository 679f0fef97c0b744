# REX.W before an SSE opcode that ignores it.
# expect: V05 @0x0
	.text
	.byte 0x48, 0x0f, 0x28, 0xc1
