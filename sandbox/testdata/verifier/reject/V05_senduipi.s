# User interrupts.
# expect: V05 @0x0
	.text
	senduipi %rax
