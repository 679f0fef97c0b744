# The gate is reached by a masked jump like everything else; a direct one is no exception.
# expect: V17 @0x0
	.text
	.byte 0xe9
	.long 0x10000 - 0x400005
