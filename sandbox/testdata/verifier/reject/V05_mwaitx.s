# Waits on time.
# expect: V05 @0x0
	.text
	mwaitx
