# Ports.
# expect: V05 @0x0
	.text
	inb %dx, %al
