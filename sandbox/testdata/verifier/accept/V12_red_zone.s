# 128 bytes below rsp.
# expect: accept
	.text
	movb -128(%rsp), %al
	movl -256(%esp), %eax
