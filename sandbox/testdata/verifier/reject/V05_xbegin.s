# Transactions.
# expect: V05 @0x0
	.text
	xbegin 1f
1:
