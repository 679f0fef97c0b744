# With 67 the address has 32 bits, but nothing needs the form.
# expect: V05 @0x0
	.text
	.byte 0x67, 0xa1, 0, 0, 0, 0
