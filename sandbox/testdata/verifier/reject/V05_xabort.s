# Transactions: C6 /7.
# expect: V05 @0x0
	.text
	xabort $1
