# A scatter with SIB index 4, which is zmm4 and not "no index".
# isa: 3
# expect: V04 @0x0
	.text
	vpscatterqq %zmm0, (,%zmm4,1) {%k1}
