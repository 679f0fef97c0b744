# 0x7ffffff0 is not a bundle mask.
# expect: V15 @0x8
	.text
	andq $0x7ffffff0, (%rsp)
	ret
