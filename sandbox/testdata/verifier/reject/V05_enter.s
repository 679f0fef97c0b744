# Writes rsp from rbp.
# expect: V05 @0x0
	.text
	enter $16, $0
