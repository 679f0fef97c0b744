# D6, undocumented salc where it exists.
# expect: V02 @0x0
	.text
	.byte 0xd6
