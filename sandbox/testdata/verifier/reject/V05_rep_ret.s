# Older compilers emit it; the rewriter does not.
# expect: V05 @0x8
	.text
	andq $0x7fffffe0, (%rsp)
	rep ret
