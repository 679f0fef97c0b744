# The 32-bit system call.
# expect: V05 @0x0
	.text
	sysenter
