# Ports.
# expect: V05 @0x0
	.text
	addr32 outsb
