# Sets AC and TF.
# expect: V05 @0x0
	.text
	popfq
