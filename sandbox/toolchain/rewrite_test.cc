#include "sandbox/toolchain/rewrite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <vector>

namespace zerocloud::toolchain {
namespace {

using testing::HasSubstr;
using testing::Not;

// The rewritten lines without bundle_align_mode and line markers, tabs as spaces, joined by " | ".
std::string Body(std::string_view source) {
  const auto out = Rewrite(source, "in.s");
  if (!out) return "error: " + out.error().message;
  std::istringstream lines(out->text);
  std::string body;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# ") || line.find("bundle_align_mode") != std::string::npos) continue;
    for (char& c : line) c = c == '\t' ? ' ' : c;
    body += (body.empty() ? "" : " | ") + line.substr(line.find_first_not_of(' '));
  }
  return body;
}

constexpr std::string_view kReturn =
    ".bundle_lock | andq $0x7fffffe0, (%rsp) | ret | .bundle_unlock";

TEST(Rewrite, MasksReturns) {
  EXPECT_EQ(Body("ret"), kReturn);
  EXPECT_EQ(Body("rep ret"), kReturn);
  EXPECT_EQ(Body("rep; retq"), kReturn);
  EXPECT_THAT(Body("ret $8"), HasSubstr("error: in.s:1: ret $8: "));
}

TEST(Rewrite, EndsBundlesWithCalls) {
  EXPECT_EQ(Body("call f@PLT"), ".bundle_lock align_to_end | call f@PLT | .bundle_unlock");
  EXPECT_EQ(Body("call *%rbx"),
            ".bundle_lock align_to_end | andl $-32, %ebx | call *%rbx | .bundle_unlock");
}

TEST(Rewrite, MasksIndirectBranches) {
  const std::string jump = ".bundle_lock | andl $-32, %r11d | jmp *%r11 | .bundle_unlock";
  EXPECT_EQ(Body("notrack jmp *%r11"), jump);
  EXPECT_EQ(Body("jmp *8(%rdi)"), "movl 8(%edi), %r11d | " + jump);
  EXPECT_EQ(Body("jmp 65536"), "movl $65536, %r11d | " + jump);
  EXPECT_THAT(Body("jmp *%rsp"), HasSubstr("error: "));
  EXPECT_THAT(Body("jmp *%ax"), HasSubstr("error: "));
  EXPECT_THAT(Body("jmp .+3"), HasSubstr("error: "));
}

TEST(Rewrite, ConfinesMemoryButNotAddressArithmetic) {
  EXPECT_EQ(Body("movl 4(%rdi), %eax"), "movl 4(%edi), %eax");
  EXPECT_EQ(Body("leaq 4(%rdi,%rsi), %rax"), "leaq 4(%rdi,%rsi), %rax");
  EXPECT_EQ(Body("movabsl 4278190080, %eax"), "movl -16777216(,%eiz,1), %eax");
  EXPECT_EQ(Body("movabsq $0x123456789a, %rax"), "movabsq $0x123456789a, %rax");
  EXPECT_EQ(Body("pushq 8(%rax)"), "pushq 8(%eax)");
}

TEST(Rewrite, WritesTheStackPointerAsEsp) {
  EXPECT_EQ(Body("subq $24, %rsp"), "subl $24, %esp");
  EXPECT_EQ(Body("addq $-128, %rsp"), "addl $-128, %esp");
  EXPECT_EQ(Body("andq $0xffffffffffffffc0, %rsp"), "andl $-64, %esp");
  EXPECT_EQ(Body("mov %rbp, %rsp"), "movl %ebp, %esp");
  EXPECT_EQ(Body("movq 48(%rdi), %rsp"), "movl 48(%edi), %esp");
  EXPECT_EQ(Body("leaq -16(%rbp,%rax), %rsp"), "leal -16(%rbp,%rax), %esp");
  EXPECT_EQ(Body("leave"), "movl %ebp, %esp | popq %rbp");
  EXPECT_EQ(Body("popq %rsp"), "movl (%rsp), %esp");
  EXPECT_EQ(Body("cmpq %rax, %rsp"), "cmpq %rax, %rsp");
  EXPECT_EQ(Body("pushq %rsp"), "pushq %rsp");
  EXPECT_EQ(Body("movq %rsp, %rbp"), "movq %rsp, %rbp");
  for (const auto* refused :
       {"incq %rsp", "xchgq %rax, %rsp", "movw %ax, %sp", "movb %al, %spl", "cmovneq %rax, %rsp",
        "movq %xmm0, %rsp", "xaddq %rsp, %rax", "imulq $3, %rax, %rsp", "movabsq $5, %rsp"}) {
    EXPECT_THAT(Body(refused), HasSubstr("error: ")) << refused;
  }
}

TEST(Rewrite, KeepsPrefixesOfStringOperationsTogether) {
  EXPECT_EQ(Body("rep movsq"), ".bundle_lock | addr32 rep movsq | .bundle_unlock");
  EXPECT_EQ(Body("repne\n\tscasb %es:(%rdi), %al"),
            ".bundle_lock | addr32 repne scasb | .bundle_unlock");
  EXPECT_EQ(Body("rep; stosl %eax, %es:(%rdi)"),
            ".bundle_lock | addr32 rep stosl | .bundle_unlock");
  EXPECT_EQ(Body("movsd 8(%rax), %xmm0"), "movsd 8(%eax), %xmm0");
  EXPECT_EQ(Body("cmpsd $1, (%rax), %xmm0"), "cmpsd $1, (%eax), %xmm0");
  EXPECT_THAT(Body("rep addl $1, %eax"), HasSubstr("error: "));
}

TEST(Rewrite, StripsWhatOneThreadDoesNotNeed) {
  EXPECT_EQ(Body("lock cmpxchgl %ecx, (%rdi)"), "cmpxchgl %ecx, (%edi)");
  EXPECT_EQ(Body("lock\norq $0, (%rsp)"), "orq $0, (%rsp)");
  EXPECT_EQ(Body("ffreep %st(0)"), "fstp %st(0)");
  EXPECT_EQ(Body("mfence; pause; rep; nop; endbr64"), "");
}

TEST(Rewrite, ExchangesWithMemoryThroughABorrowedRegister) {
  const std::string spare =
      " | .section .bss.zvm_spare,\"aw\",@nobits | .p2align 3 | .Lzvm_spare: | .zero 8";
  EXPECT_EQ(
      Body("xchgl %eax, (%rdi)"),
      "movq %r11, .Lzvm_spare(%rip) | mov (%edi), %r11d | mov %eax, (%edi) | mov %r11d, %eax | "
      "movq .Lzvm_spare(%rip), %r11" +
          spare);
  EXPECT_THAT(Body("xchgb (%r11), %dl"), HasSubstr("mov (%r11d), %r10b | mov %dl, (%r11d)"));
  EXPECT_THAT(Body("xchgq %r11, (%r10)"), HasSubstr("movq %r9, .Lzvm_spare(%rip)"));
  EXPECT_EQ(Body("xchgq %rax, %rbx"), "xchgq %rax, %rbx");
  EXPECT_THAT(Body("xchgb %ah, (%rax)"), HasSubstr("error: "));
}

TEST(Rewrite, AlignsOnlyLabelsThatARegisterCanReach) {
  const std::string body = Body(
      ".globl f\n.type f, @function\nf:\n.L2: decl %eax\njne .L2\njmp *.L5(,%rax,8)\n"
      ".L3: leaq 1f(%rip), %rax\n1: nop\njmp 1b\n.L4: nop\n.section .rodata\n.L5: .quad .L4\n"
      ".section .debug_info\n.quad .L3\n");
  EXPECT_THAT(body, HasSubstr(".p2align 5 | f:"));
  EXPECT_THAT(body, HasSubstr("f: | .L2:"));
  EXPECT_THAT(body, HasSubstr(".bundle_unlock | .L3:"));
  EXPECT_THAT(body, HasSubstr(".p2align 5 | 1:"));
  EXPECT_THAT(body, HasSubstr(".p2align 5 | .L4:"));
  EXPECT_THAT(body, HasSubstr(".rodata | .L5:"));
}

TEST(Rewrite, AlignsTextInStepsUpTo64) {
  EXPECT_EQ(Body(".p2align 4,,10"), ".p2align 4,,10");
  EXPECT_EQ(Body(".p2align 4, 0x90"), ".p2align 4");
  EXPECT_EQ(Body(".balign 128"), ".p2align 5 | .p2align 6");
  EXPECT_EQ(Body(".data\n.balign 128"), ".data | .balign 128");
}

TEST(Rewrite, MakesThreadLocalStoragePlain) {
  EXPECT_EQ(Body("movq %fs:0, %rax"), "movq $0, %rax");
  EXPECT_EQ(Body("leaq x@tpoff(%rax), %rax"), "leaq x(%rax), %rax");
  EXPECT_EQ(Body("addq x@gottpoff(%rip), %rax"), "addq $x, %rax");
  EXPECT_EQ(Body(".section .tbss,\"awT\",@nobits"), ".section .bss.tls,\"aw\",@nobits");
  EXPECT_EQ(Body(".type x, @tls_object"), ".type x, @object");
  EXPECT_EQ(Body(".section .debug_info\n.long x@dtpoff, 0"), ".section .debug_info | .long x, 0");
  EXPECT_THAT(Body("leaq x@tlsgd(%rip), %rdi"), HasSubstr("error: "));
}

TEST(Rewrite, MarksObjectsThatNeedLevel3) {
  EXPECT_THAT(Body("vaddps %ymm0, %ymm1, %ymm2"), HasSubstr(".set __zvm_isa_level_3, 1"));
  EXPECT_THAT(Body("shlxq %rax, (%rbx), %rcx"), HasSubstr("__zvm_isa_level_3"));
  EXPECT_EQ(Body("rep bsfl %eax, %ecx"), "bsfl %eax, %ecx");
  EXPECT_THAT(Body("popcntq %rax, %rax"), Not(HasSubstr("__zvm_isa_level_3")));
}

TEST(Rewrite, RefusesWhatNoGuestMayUse) {
  for (const auto* refused : {"syscall",
                              "cpuid",
                              "rdtsc",
                              "rdrand %eax",
                              "rsqrtss %xmm0, %xmm1",
                              "fsin",
                              "fnstenv (%rdi)",
                              "vaddps %zmm0, %zmm1, %zmm2",
                              "vmovaps %xmm17, %xmm0",
                              "kmovw %k1, %eax",
                              "jrcxz 1f",
                              "popfq",
                              "vpgatherdd %xmm0, (%rax,%xmm1,4), %xmm2",
                              "movl %gs:0, %eax",
                              ".byte 0x0f, 0x05",
                              ".macro m",
                              ".section .x,\"awx\"",
                              ".intel_syntax noprefix",
                              "lock",
                              ".data; nop"}) {
    EXPECT_THAT(Body(refused), HasSubstr("error: in.s:1: ")) << refused;
  }
}

TEST(Rewrite, NamesFileLineStatementAndReason) {
  EXPECT_THAT(Body("nop\n# 77 \"dir/x.c\"\ncpuid\n"),
              HasSubstr("error: dir/x.c:77: cpuid: a guest"));
}

TEST(Rewrite, StopsAfterTwentyProblems) {
  std::string source;
  for (int i = 0; i < 100; ++i) source += "cpuid\n";
  const std::string body = Body(source);
  EXPECT_EQ(std::count(body.begin(), body.end(), '\n'), kMaxProblems - 1);
}

TEST(Rewrite, KeepsLineNumbersThroughExpansion) {
  const auto out = Rewrite("call f\nnop\n\nret\nhlt\n", "in.s");
  ASSERT_TRUE(out);
  EXPECT_THAT(out->text, HasSubstr("# 2 \"in.s\"\n\tnop\n# 4 \"in.s\"\n\t.bundle_lock"));
  EXPECT_FALSE(out->has_line_info);
}

TEST(Rewrite, KeepsFileOneApartFromFileZero) {
  EXPECT_EQ(Body(".file 0 \"/d\" \"x.c\""), ".file 0 \"/d\" \"./x.c\"");
  EXPECT_EQ(Body(".file 0 \"/d\" \"/d/x.c\""), ".file 0 \"/d\" \"/./d/x.c\"");
  EXPECT_EQ(Body(".loc 1 5 3 is_stmt 0 view .LVU2"), ".loc 1 5 3 is_stmt 0");
}

}  // namespace
}  // namespace zerocloud::toolchain
