// What Swift wrote about a stored file into its extended attributes, and whether the file's bytes
// are those of the object. Source: Swift 2.30, swift.obj.diskfile.read_metadata.
#pragma once

#include <optional>
#include <string>

#include "middleware/store/timestamp.h"
#include "middleware/swift/pickle.h"

namespace zerocloud::swift {

// The attributes user.swift.metadata, user.swift.metadata1, ... of an open file, checked against
// user.swift.metadata_checksum where there is one (older Swift wrote none). kInvalid: missing, cut
// off or changed; kLimitExceeded.
Result<Metadata> ReadMetadata(int file);

// The same from the attributes' values. Pure.
Result<Metadata> CheckMetadata(const std::string& pickle,
                               const std::optional<std::string>& checksum);

// Why the bytes of a file with this metadata are not what a reader of the object gets: it is
// segmented, a link, encrypted, expired by `now`, or of a kind that is not known here. Empty: they
// are.
std::string WhyNotPlain(const Metadata& metadata, store::Timestamp now);

// A value, or empty where there is none. Names are compared without case.
std::string ValueOf(const Metadata& metadata, std::string_view name);

}  // namespace zerocloud::swift
