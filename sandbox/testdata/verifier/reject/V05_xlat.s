# Loads from rbx + al.
# expect: V05 @0x0
	.text
	xlatb
