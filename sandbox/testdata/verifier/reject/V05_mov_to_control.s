# 0F 22: mov.
# expect: V05 @0x0
	.text
	movq %rax, %cr3
