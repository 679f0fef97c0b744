# The mask is on another slot.
# expect: V15 @0x9
	.text
	andq $0x7fffffe0, 8(%rsp)
	ret
