# Virtual machines (AMD).
# expect: V05 @0x0
	.text
	vmmcall
