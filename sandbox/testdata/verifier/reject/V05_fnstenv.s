# Stores the last x87 instruction pointer, which tells of preemption.
# expect: V05 @0x0
	.text
	fnstenv (%rsp)
