# Tells the processor.
# expect: V05 @0x0
	.text
	rdpid %rax
