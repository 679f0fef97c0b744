# As maskmovdqu, MMX.
# expect: V05 @0x0
	.text
	maskmovq %mm0, %mm1
