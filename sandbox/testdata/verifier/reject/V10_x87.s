# An x87 store.
# expect: V10 @0x0
	.text
	fstpl (%rdi)
