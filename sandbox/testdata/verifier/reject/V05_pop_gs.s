# 0F A9: its mnemonic is pop.
# expect: V05 @0x0
	.text
	popq %gs
