# One thread needs no LOCK; a split lock stalls the machine.
# expect: V07 @0x0
	.text
	lock addl $1, (%eax)
