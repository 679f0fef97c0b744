# The return address was not masked.
# expect: V15 @0x0
	.text
	ret
