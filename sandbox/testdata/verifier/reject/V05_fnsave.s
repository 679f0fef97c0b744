# As fnstenv.
# expect: V05 @0x0
	.text
	fnsave (%rsp)
