# 0F 21: mov.
# expect: V05 @0x0
	.text
	movq %dr0, %rax
