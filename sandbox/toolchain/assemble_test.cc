#include "sandbox/toolchain/assemble.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace zerocloud::toolchain {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(AssembleOptions, ReadsWhatGccPasses) {
  const auto options = ParseAssembleOptions({"-I", "inc", "-Iother", "--gdwarf-5", "--64", "-W",
                                             "--noexecstack", "-o", "x.o", "/tmp/x.s"});
  ASSERT_TRUE(options);
  EXPECT_THAT(options->inputs, ElementsAre("/tmp/x.s"));
  EXPECT_EQ(options->output, "x.o");
  EXPECT_TRUE(options->line_info);
  EXPECT_THAT(options->pass_on, ElementsAre("-Iinc", "-Iother"));
}

TEST(AssembleOptions, ReadsStandardInputByDefault) {
  const auto options = ParseAssembleOptions({"-ox.o", "--defsym", "A=5", "-"});
  ASSERT_TRUE(options);
  EXPECT_THAT(options->inputs, ElementsAre("-"));
  EXPECT_THAT(options->pass_on, ElementsAre("-Wa,--defsym,A=5"));
}

TEST(AssembleOptions, RefusesWhatWouldChangeTheProgram) {
  EXPECT_THAT(ParseAssembleOptions({"--32"}).error().message, HasSubstr("64-bit"));
  EXPECT_THAT(ParseAssembleOptions({"--unheard-of"}).error().message, HasSubstr("--unheard-of"));
}

}  // namespace
}  // namespace zerocloud::toolchain
