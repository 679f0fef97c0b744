# pop to a place next to rsp, which is counted from where rsp is then.
# expect: accept
	.text
	popq (%rsp)
	popq -128(%rsp)
	popq 0x7fffffff(%rsp)
