# A masked return.
# expect: accept
	.text
	andq $0x7fffffe0, (%rsp)
	ret
