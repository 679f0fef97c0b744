# A VEX load with a 64-bit address.
# isa: 3
# expect: V10 @0x0
	.text
	vmovups (%rdi), %ymm0
