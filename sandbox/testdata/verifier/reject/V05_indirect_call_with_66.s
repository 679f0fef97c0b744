# 66 before an indirect call: processors differ.
# expect: V05 @0x3
	.text
	andl $-32, %eax
	.byte 0x66, 0xff, 0xd0
