# long double.
# expect: accept
	.text
	fldt (%eax)
	fstpt 16(%rsp)
	fildll (%eax)
	fistpll (%eax)
	fld1
	fldz
	fxch %st(1)
	fucomip %st(1), %st
	fcmovne %st(1), %st
	.p2align 5, 0x90
	fnstcw -2(%rsp)
	fldcw -2(%rsp)
	fnstsw %ax
	fnclex
	fninit
	faddp %st, %st(1)
	fsqrt
	fprem
	frndint
	fscale
	fxtract
	fwait
