// Plan: a job expanded to sessions and the connections between them. Expand() is pure but for the
// Listing it asks; the same job over the same listing gives the same plan.
//
// Groups whose connections form a cycle are a gang: all its sessions must be alive at once, and the
// connections inside it are streams. Every other connection is spooled: its reader starts when its
// writer has ended.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "channels/base/result.h"
#include "middleware/job/job_spec.h"

namespace zerocloud::plan {

// The request that brought the job.
struct Origin {
  std::string account;                   // of its URL
  std::optional<job::ObjectUrl> object;  // of its URL, if it names one
};

// What is stored, as the caller may see it. Names in byte order, at most `limit` of them; more is
// kLimitExceeded.
class Listing {
 public:
  virtual ~Listing() = default;
  virtual Result<std::vector<std::string>> Containers(const std::string& account,
                                                      const std::string& prefix,
                                                      std::size_t limit) = 0;
  virtual Result<std::vector<std::string>> Objects(const std::string& account,
                                                   const std::string& container,
                                                   const std::string& prefix,
                                                   std::size_t limit) = 0;
};

enum class BindingKind : std::uint8_t {
  kNull,      // reads nothing, forgets what is written
  kObject,    // reads a stored object
  kStored,    // written to an object when the job has succeeded
  kResponse,  // written to the response body
};

// What stands behind one device of a session.
struct Binding {
  job::DeviceName device = job::DeviceName::kStdin;
  BindingKind kind = BindingKind::kNull;
  job::ObjectUrl object;                  // kObject, kStored; account filled in, no wildcards
  const job::Device* declared = nullptr;  // content type and metadata; null when not declared
};

struct Session {
  std::string name;
  std::size_t group = 0;
  std::size_t number = 1;  // 1..N within the group
  // stdin, stdout and stderr always; input and output where declared. In order of DeviceName.
  std::vector<Binding> bindings;
  // Indices of bindings. The stored object that it is about, if it reads any: that of `attach`,
  // else what its wildcard matched, else stdin, else input.
  std::optional<std::size_t> about;
  // The object near which it should run, which may be one that it will store.
  std::optional<std::size_t> near;
  // Sessions with the same number here should run on one node: those of equal index in groups with
  // the same location. Below Plan::companies.
  std::optional<std::size_t> company;
  std::vector<std::size_t> in;  // connections it reads and writes, indices into Plan::edges
  std::vector<std::size_t> out;
};

// From one session's /dev/out/<to> to another's /dev/in/<from>.
struct Edge {
  std::size_t from = 0;
  std::size_t to = 0;
  bool is_stream = false;  // both ends live at once; else spooled
};

// Sessions that start together (a gang), or that have nothing to wait for in each other.
struct Component {
  bool is_gang = false;
  std::vector<std::size_t> sessions;
  std::vector<std::size_t> after;  // components whose sessions must all have ended before
};

struct Plan {
  job::JobSpec spec;  // Binding::declared and Session::group point into it
  Origin origin;
  std::vector<std::size_t> group_sizes;  // sessions of each group
  std::vector<Session> sessions;         // group by group, in order of number
  std::vector<Edge> edges;
  std::vector<Component> components;  // each after all those it waits for
  std::size_t companies = 0;

  Plan() = default;
  Plan(Plan&&) = default;
  Plan& operator=(Plan&&) = default;
  Plan(const Plan&) = delete;  // a copy's pointers would point into the original
  Plan& operator=(const Plan&) = delete;
  ~Plan() = default;
};

// Errors: kInvalid with a JSON pointer and a sentence; kLimitExceeded naming the limit; whatever
// the listing says, with the pointer of the device that asked.
Result<Plan> Expand(job::JobSpec spec, Origin origin, const job::JobLimits& limits,
                    Listing& listing);

}  // namespace zerocloud::plan
