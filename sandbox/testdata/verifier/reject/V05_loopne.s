# A branch that gcc never emits.
# expect: V05 @0x0
	.text
1:
	loopne 1b
