# Nothing says where the call goes.
# expect: V14 @0x0
	.text
	call *%rax
