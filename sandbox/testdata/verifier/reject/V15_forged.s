# A return address is pushed, then used.
# expect: V15 @0x1
	.text
	pushq %rax
	ret
