# Nothing needs it.
# expect: V05 @0x0
	.text
	addr32 xlatb
