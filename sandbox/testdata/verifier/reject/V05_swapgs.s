# Privileged.
# expect: V05 @0x0
	.text
	swapgs
