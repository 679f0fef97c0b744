// The scan at the start: makes the listing index equal to the tree, and removes what a killed
// process left behind. Costs two lstat(2) per object, and reads the sidecar only of objects that
// the index does not know or knows otherwise. Runs alone, before the store serves.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "channels/base/result.h"
#include "middleware/store/directory_store.h"

namespace zerocloud::store {

class Scan {
 public:
  explicit Scan(DirectoryStore& store) : store_(&store) {}

  Result<ScanReport> Run();

 private:
  struct Folder {
    std::string name;  // of the account or container
    std::string path;  // beneath the root
  };

  // The accounts beneath the root, or the containers beneath an account's folder.
  Result<std::vector<Folder>> Folders(int root, const std::string& parent, bool count_ignored);
  Result<void> ScanContainer(const ContainerKey& key, const std::string& path);
  Result<void> ScanFolder(const ContainerKey& key, const std::string& container_path,
                          const std::string& folder, std::vector<std::string>& pending);
  Result<void> SweepSidecars(const std::string& container_path);
  // Sidecars of containers that do not exist.
  Result<void> SweepMeta();

  DirectoryStore* store_;
  ScanReport report_;
  std::unordered_set<std::string> container_paths_;
  // Of the container under scan: rows not yet met, and paths of its objects.
  std::unordered_map<std::string, IndexedObject> rows_;
  std::unordered_set<std::string> object_paths_;
};

}  // namespace zerocloud::store
