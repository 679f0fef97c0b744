# 129 bytes below rsp.
# expect: V12 @0x0
	.text
	movb -129(%rsp), %al
