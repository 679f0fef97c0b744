# Contained, but nothing needs it.
# isa: 3
# expect: V05 @0x0
	.text
	vgatherdps %ymm1, (%eax,%ymm2,4), %ymm0
