# Random: the same inputs must give the same outputs.
# expect: V05 @0x0
	.text
	rdrand %eax
