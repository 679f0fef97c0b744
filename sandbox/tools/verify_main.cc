// zvm-verify: says whether a file is an acceptable guest program, and if not, why.
#include <fcntl.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <string>

#include "sandbox/loader/image.h"
#include "sandbox/tools/verdict_text.h"

namespace zerocloud::tools {
namespace {

constexpr int kAccepted = 0;
constexpr int kRejected = 1;
constexpr int kUnusable = 2;

Result<loader::Examination> ExamineFile(const std::string& path, std::size_t max_violations) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) return FailErrno("cannot open it");
  const auto bytes = loader::ReadImageFile(file.get());
  if (!bytes) return Fail(bytes);
  return loader::Examine(*bytes, max_violations);
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Says whether a file is an acceptable guest program.\n"
      "Exit status: 0 accepted, 1 rejected by the verifier, 2 no guest program at all.");
  std::string path;
  std::size_t max_violations = 100;
  bool wants_json = false, wants_rules = false;
  app.add_option("FILE", path, "The program, an ELF file made by zvm-cc");
  app.add_flag("--json", wants_json, "Print the verdict as one JSON object");
  app.add_flag("--rules", wants_rules, "Print the rules of the verifier and exit");
  app.add_option("--max", max_violations, "List at most this many violations")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kAccepted : kUnusable;
  }
  if (wants_rules) {
    fmt::print("{}", RulesText());
    return kAccepted;
  }
  if (path.empty()) {
    fmt::print(stderr, "zvm-verify: name the program to verify; --help tells more\n");
    return kUnusable;
  }
  const auto examination = ExamineFile(path, max_violations);
  if (!examination) {
    fmt::print(stderr, "zvm-verify: {}: {}\n", path, examination.error().message);
    return kUnusable;
  }
  fmt::print("{}", wants_json ? VerdictJson(path, *examination) : VerdictText(path, *examination));
  return examination->verdict.is_accepted() ? kAccepted : kRejected;
}

}  // namespace
}  // namespace zerocloud::tools

int main(int argc, char** argv) { return zerocloud::tools::Main(argc, argv); }
