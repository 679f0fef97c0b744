# Code behind an undecodable byte has no starts.
# expect: V17 @0x0
# expect: V02 @0x2
	.text
	jmp 1f
	.byte 0x06
1:
	nop
