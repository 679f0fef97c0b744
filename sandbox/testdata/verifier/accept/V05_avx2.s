# AVX2, FMA, F16C.
# isa: 3
# expect: accept
	.text
	vaddpd %ymm0, %ymm1, %ymm2
	vmovss (%eax), %xmm1
	vmovss %xmm0, %xmm1, %xmm2
	vpermq $0x4e, %ymm0, %ymm1
	vpsrldq $8, %ymm0, %ymm1
	.p2align 5, 0x90
	vfmadd231sd %xmm0, %xmm1, %xmm2
	vfnmsub213ps (%eax), %ymm1, %ymm2
	vextracti128 $1, %ymm0, %xmm1
	vinserti128 $1, (%eax), %ymm0, %ymm1
	.p2align 5, 0x90
	vcvtps2ph $0, %xmm0, %xmm1
	vpmaskmovd %ymm0, %ymm1, (%eax)
	vpbroadcastd %xmm0, %ymm1
	vblendvps %xmm0, %xmm1, %xmm2, %xmm3
	.p2align 5, 0x90
	vcvtsi2sdq %rax, %xmm0, %xmm0
	vmovq %xmm0, %rax
	vpmovmskb %ymm0, %eax
	vptest %ymm0, %ymm1
	vzeroall
