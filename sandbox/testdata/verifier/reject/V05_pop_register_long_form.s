# 8F C4 is pop %rsp in a form that no assembler emits.
# expect: V05 @0x0
	.text
	.byte 0x8f, 0xc4
