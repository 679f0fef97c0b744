// The only place that knows how the assembler is told about bundles: LLVM's directives. If an
// assembler without them must be used one day, this file lays out the code instead.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace zerocloud::toolchain {

inline constexpr int kBundleLog2 = 5;
inline constexpr int kMaxAlignLog2 =
    6;  // what the fill between functions can reach without a straddle

class BundleWriter {
 public:
  explicit BundleWriter(std::string& out) : out_(out) {
    out_ += "\t.bundle_align_mode " + std::to_string(kBundleLog2) + "\n";
  }

  // Instructions that stay in one bundle, one after the other.
  void Group(std::initializer_list<std::string_view> lines) { Write(lines, "\t.bundle_lock\n"); }

  // The same, and the last one ends the bundle.
  void GroupAtEnd(std::initializer_list<std::string_view> lines) {
    Write(lines, "\t.bundle_lock align_to_end\n");
  }

  // The next byte is a multiple of 1 << log2. The assembler fills with no-operations that are free
  // to cross a bundle, so it is led there in steps that leave them no room to.
  void Align(int log2) {
    if (log2 < kBundleLog2) {
      Line(".p2align ", log2);
      return;
    }
    for (int step = kBundleLog2; step <= log2 && step <= kMaxAlignLog2; ++step) {
      Line(".p2align ", step);
    }
  }

 private:
  void Line(std::string_view directive, int value) {
    out_ += '\t';
    out_ += directive;
    out_ += std::to_string(value);
    out_ += '\n';
  }

  void Write(std::initializer_list<std::string_view> lines, std::string_view lock) {
    out_ += lock;
    for (const std::string_view line : lines) {
      out_ += '\t';
      out_ += line;
      out_ += '\n';
    }
    out_ += "\t.bundle_unlock\n";
  }

  std::string& out_;
};

}  // namespace zerocloud::toolchain
