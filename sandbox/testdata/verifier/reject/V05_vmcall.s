# Virtual machines.
# expect: V05 @0x0
	.text
	vmcall
