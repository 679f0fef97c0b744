# rsp is no jump register.
# expect: V14 @0x3
	.text
	andl $-32, %esp
	jmp *%rsp
