# Ports; a string instruction too.
# expect: V05 @0x0
	.text
	addr32 insb
