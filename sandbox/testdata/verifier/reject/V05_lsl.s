# Probes segments.
# expect: V05 @0x0
	.text
	lsll %eax, %ecx
