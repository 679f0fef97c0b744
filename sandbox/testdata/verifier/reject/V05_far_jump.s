# Loads cs.
# expect: V05 @0x0
	.text
	ljmp *(%rsp)
