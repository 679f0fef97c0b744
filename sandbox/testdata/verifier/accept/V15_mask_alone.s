# The mask alone is an instruction like others.
# expect: accept
	.text
	andq $0x7fffffe0, (%rsp)
	nop
