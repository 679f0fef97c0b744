# Transactions.
# expect: V05 @0x0
	.text
	xtest
