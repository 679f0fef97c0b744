#include "middleware/store/testing/names.h"

#include <array>

namespace zerocloud::store {

std::string RandomObjectName(std::mt19937_64& random) {
  static constexpr std::array<const char*, 22> kPieces = {"a",
                                                          "b",
                                                          "/",
                                                          "/",
                                                          "//",
                                                          ".",
                                                          "..",
                                                          "%",
                                                          "%25",
                                                          "%-",
                                                          "%+",
                                                          "\n",
                                                          "\x01",
                                                          "\x7f",
                                                          " ",
                                                          "\\",
                                                          "\xc3\xa4",
                                                          "\xe2\x82\xac",
                                                          "\xf0\x9f\x98\x80",
                                                          "A",
                                                          "0",
                                                          "%/"};
  const auto below = [&](std::size_t limit) { return static_cast<std::size_t>(random() % limit); };
  std::string name;
  const std::size_t pieces = 1 + below(below(8) == 0 ? 200 : 8);
  for (std::size_t i = 0; i < pieces; ++i) {
    const std::string piece = kPieces[below(kPieces.size())];
    // Now and then a run of one piece, so that parts get longer than a file name may be.
    const std::size_t repeats = below(20) == 0 ? 1 + below(700) : 1;
    for (std::size_t k = 0; k < repeats && name.size() + piece.size() <= 1024; ++k) name += piece;
  }
  return name;
}

}  // namespace zerocloud::store
