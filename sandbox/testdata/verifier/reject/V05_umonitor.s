# Watches an address.
# expect: V05 @0x0
	.text
	umonitor %rax
