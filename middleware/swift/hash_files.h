// The files in an object's directory and what they mean together: which one is the object. Pure.
// Source: Swift 2.30, swift.obj.diskfile.BaseDiskFileManager.get_ondisk_files.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "channels/base/result.h"
#include "middleware/store/timestamp.h"

namespace zerocloud::swift {

struct HashFiles {
  std::string data;
  store::Timestamp time;           // of the .data file, from its name
  std::vector<std::string> metas;  // .meta files that are newer, in any order
};

// kNotFound: there is no .data, or a .ts says that it was deleted. kInvalid: the object is of a
// kind that no single file holds, or it cannot be told which is the newest.
Result<HashFiles> ChooseFiles(std::span<const std::string> names);

}  // namespace zerocloud::swift
