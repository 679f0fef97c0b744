# The i386 system call.
# expect: V05 @0x0
	.text
	int $0x80
