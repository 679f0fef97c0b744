# REX.B before cltq.
# expect: V09 @0x0
	.text
	.byte 0x49, 0x98
