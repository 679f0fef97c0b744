# A tool for side channels.
# expect: V05 @0x0
	.text
	addr32 clflush (%rsp)
