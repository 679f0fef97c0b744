# As fldenv.
# expect: V05 @0x0
	.text
	frstor (%rsp)
