# Below the first byte.
# expect: V17 @0x0
	.text
	.byte 0xeb, 0xf0
