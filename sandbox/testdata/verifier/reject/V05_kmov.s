# AVX-512 masks have VEX encodings.
# isa: 3
# expect: V05 @0x0
	.text
	kmovw %eax, %k1
