# The target is in memory, so no mask can hold.
# expect: V05 @0x0
	.text
	jmp *(%rsp)
