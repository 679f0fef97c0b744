# 3E before an indirect jump is notrack.
# expect: V08 @0x3
	.text
	andl $-32, %eax
	.byte 0x3e, 0xff, 0xe0
