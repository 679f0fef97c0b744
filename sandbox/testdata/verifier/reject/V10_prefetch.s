# prefetch touches the caches.
# expect: V10 @0x0
	.text
	prefetcht0 (%rax)
