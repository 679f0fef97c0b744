# Watches an address in rax.
# expect: V05 @0x0
	.text
	monitor
