# The immediate of the mov is a syscall.
# expect: V17 @0x5
	.text
	movl $0x050f, %eax
	.byte 0xeb, 0xfa
