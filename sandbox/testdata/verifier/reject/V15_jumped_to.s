# A return that is not masked is a violation by itself; a jump to it is no second one.
# expect: V15 @0x2
	.text
	jmp 1f
1:
	ret
