# EVEX vcvttsd2si into rsp.
# isa: 3
# expect: V04 @0x0
	.text
	{evex} vcvttsd2si %xmm0, %rsp
