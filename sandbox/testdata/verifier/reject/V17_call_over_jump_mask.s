# Over the mask, to the call.
# expect: V17 @0x0
	.text
	call 1f
	andl $-32, %eax
1:
	call *%rax
