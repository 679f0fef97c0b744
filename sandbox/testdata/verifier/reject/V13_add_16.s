# rsp, sp or spl is written.
# expect: V13 @0x0
	.text
	addw $8, %sp
