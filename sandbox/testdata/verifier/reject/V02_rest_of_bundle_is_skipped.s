# Verification goes on at the next bundle: syscall is found there, not behind the bad byte.
# expect: V02 @0x1
# expect: V05 @0x20
	.text
	nop
	.byte 0x06
	syscall
	.p2align 5, 0xcc
	syscall
