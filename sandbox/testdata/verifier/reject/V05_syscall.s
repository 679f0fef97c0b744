# System calls are the host's.
# expect: V05 @0x0
	.text
	syscall
