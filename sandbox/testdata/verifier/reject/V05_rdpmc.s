# Tells the time.
# expect: V05 @0x0
	.text
	rdpmc
