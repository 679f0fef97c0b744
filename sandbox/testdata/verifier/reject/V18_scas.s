# rsi and rdi have 64 bits without 67.
# expect: V18 @0x0
	.text
	repne scasb
