# Loads rip, rsp and segments.
# expect: V05 @0x0
	.text
	iretq
