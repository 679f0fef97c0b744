# Random.
# expect: V05 @0x0
	.text
	rdseed %eax
