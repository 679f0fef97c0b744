# 0F A0: its mnemonic is push.
# expect: V05 @0x0
	.text
	pushq %fs
