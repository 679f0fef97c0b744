# REX.R, X and B before rep movsb: processors have hung on it.
# expect: V09 @0x0
	.text
	.byte 0x67, 0xf3, 0x47, 0xa4
