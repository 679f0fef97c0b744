# Changes page rights.
# expect: V05 @0x0
	.text
	wrpkru
