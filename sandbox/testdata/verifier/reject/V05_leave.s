# Writes rsp from rbp.
# expect: V05 @0x0
	.text
	leave
