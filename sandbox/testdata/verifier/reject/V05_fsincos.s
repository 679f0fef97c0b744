# Intel and AMD differ in the last bits.
# expect: V05 @0x0
	.text
	fsincos
