#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "middleware/plan/components.h"
#include "middleware/plan/plan.h"
#include "middleware/plan/wildcard.h"

namespace zerocloud::plan {
namespace {

using job::Device;
using job::DeviceName;
using job::Group;
using job::ObjectUrl;

std::unexpected<Error> FailAt(std::string_view pointer, std::string_view sentence) {
  return Fail(ErrorCode::kInvalid, fmt::format("{}: {}", pointer, sentence));
}

// A stored object that a wildcard found, and what its stars stand for.
struct Match {
  ObjectUrl object;
  std::vector<std::string> stars;
};

class Expansion {
 public:
  Expansion(Plan& plan, const job::JobLimits& limits, Listing& listing)
      : plan_(plan), limits_(limits), listing_(listing) {}

  Result<void> Run() {
    for (std::size_t i = 0; i < plan_.spec.groups.size(); ++i) {
      if (Result<void> done = ExpandGroup(i); !done) return done;
    }
    if (Result<void> done = FindComponents(); !done) return done;
    return Connect();
  }

 private:
  Result<void> ExpandGroup(std::size_t index) {
    const Group& group = plan_.spec.groups[index];
    const Device* wild = nullptr;
    for (const Device& device : group.devices) {
      if (!job::IsReadable(device.name) || !device.path || !device.path->has_wildcard()) continue;
      if (wild != nullptr) {
        return FailAt(device.pointer + "/path",
                      "stdin has wildcards already; one input of a group decides its sessions");
      }
      wild = &device;
    }
    std::vector<Match> matches;
    std::size_t size = group.count.value_or(1);
    if (wild != nullptr) {
      if (size != 1) {
        return FailAt(group.pointer + "/count",
                      fmt::format("the wildcards of {} decide how many sessions there are; "
                                  "leave count out",
                                  wild->pointer));
      }
      Result<std::vector<Match>> found = FindMatches(*wild);
      if (!found) return Fail(found);
      matches = std::move(*found);
      size = matches.size();
    }
    if (plan_.sessions.size() + size > limits_.sessions) {
      return job::OverLimit(fmt::format("{}: sessions of the job so far:", group.pointer),
                            "sessions", limits_.sessions, plan_.sessions.size() + size);
    }
    plan_.group_sizes.push_back(size);
    const bool is_numbered = wild != nullptr || size > 1;
    for (std::size_t number = 1; number <= size; ++number) {
      Session session;
      session.group = index;
      session.number = number;
      session.name = is_numbered ? fmt::format("{}-{}", group.name, number) : group.name;
      const auto [other, is_new] = names_.emplace(session.name, index);
      if (!is_new) {
        return FailAt(group.pointer + "/name",
                      fmt::format("its session \"{}\" would have the name of a session of {}",
                                  session.name, plan_.spec.groups[other->second].pointer));
      }
      const Match* match = wild != nullptr ? &matches[number - 1] : nullptr;
      if (Result<void> done = Bind(group, wild, match, size, session); !done) return done;
      Place(group, wild, session);
      plan_.sessions.push_back(std::move(session));
    }
    return {};
  }

  [[nodiscard]] ObjectUrl WithAccount(ObjectUrl url) const {
    if (url.account.empty()) url.account = plan_.origin.account;
    return url;
  }

  // The objects that the wildcards of an input stand for, in listing order.
  Result<std::vector<Match>> FindMatches(const Device& device) {
    const ObjectUrl pattern = WithAccount(device.path.value_or(ObjectUrl{}));
    const std::string pointer = device.pointer + "/path";
    std::vector<std::string> containers{pattern.container};
    const bool many_containers = pattern.container.contains('*');
    if (many_containers) {
      const std::string prefix(LiteralPrefix(pattern.container));
      Result<std::vector<std::string>> listed =
          listing_.Containers(pattern.account, prefix, limits_.listed_names - listed_);
      if (!listed) return FailListing(pointer, pattern.account, listed.error());
      listed_ += listed->size();
      containers = std::move(*listed);
    }
    std::vector<Match> matches;
    for (const std::string& container : containers) {
      std::optional<std::vector<std::string>> stars = MatchWildcard(pattern.container, container);
      if (!stars) continue;
      const std::string prefix(LiteralPrefix(pattern.object));
      Result<std::vector<std::string>> listed =
          listing_.Objects(pattern.account, container, prefix, limits_.listed_names - listed_);
      if (!listed) {
        // Deleted since the containers were listed.
        if (many_containers && listed.error().code == ErrorCode::kNotFound) continue;
        return FailListing(pointer, pattern.account + "/" + container, listed.error());
      }
      listed_ += listed->size();
      for (std::string& name : *listed) {
        if (name.ends_with('/')) continue;
        std::optional<std::vector<std::string>> more = MatchWildcard(pattern.object, name);
        if (!more) continue;
        if (plan_.sessions.size() + matches.size() == limits_.sessions) {
          return job::OverLimit(fmt::format("{}: {} matches so many objects that the job has "
                                            "sessions:",
                                            pointer, pattern.ToString()),
                                "sessions", limits_.sessions, limits_.sessions + 1);
        }
        Match& match = matches.emplace_back();
        match.object = {pattern.account, container, std::move(name)};
        match.stars = *stars;
        std::ranges::move(*more, std::back_inserter(match.stars));
      }
    }
    if (matches.empty()) {
      return FailAt(pointer, fmt::format("no object matches {}", pattern.ToString()));
    }
    return matches;
  }

  [[nodiscard]] std::unexpected<Error> FailListing(std::string_view pointer, std::string_view what,
                                                   const Error& error) const {
    std::string sentence = fmt::format("{}: cannot list /{}: {}", pointer, what, error.message);
    if (error.code == ErrorCode::kLimitExceeded) {
      sentence += fmt::format("; all listings of a job together: the limit listed_names is {}",
                              limits_.listed_names);
    }
    return Fail(error.code, std::move(sentence));
  }

  Result<void> Bind(const Group& group, const Device* wild, const Match* match, std::size_t size,
                    Session& session) {
    for (const DeviceName name : {DeviceName::kStdin, DeviceName::kInput, DeviceName::kStdout,
                                  DeviceName::kStderr, DeviceName::kOutput}) {
      const auto declared = std::ranges::find(group.devices, name, &Device::name);
      Binding binding;
      binding.device = name;
      if (declared == group.devices.end()) {
        if (name == DeviceName::kInput || name == DeviceName::kOutput) continue;
      } else {
        binding.declared = &*declared;
        Result<void> bound = job::IsReadable(name)
                                 ? BindInput(*declared, &*declared == wild, match, binding)
                                 : BindOutput(*declared, match, size, session, binding);
        if (!bound) return bound;
      }
      session.bindings.push_back(std::move(binding));
    }
    return {};
  }

  void Place(const Group& group, const Device* wild, Session& session) {
    for (std::size_t i = 0; i < session.bindings.size(); ++i) {
      const Binding& binding = session.bindings[i];
      const bool is_attached = group.attach == binding.device;
      const bool is_read = binding.kind == BindingKind::kObject;
      if (is_attached && (is_read || binding.kind == BindingKind::kStored)) session.near = i;
      if (!is_read) continue;
      // Bindings come stdin first.
      const bool is_matched = wild != nullptr && binding.declared == wild;
      const bool is_wanted =
          group.attach && job::IsReadable(*group.attach) ? is_attached : is_matched;
      if (!session.about || is_wanted) session.about = i;
    }
    if (!group.attach) session.near = session.about;
    if (group.location.empty()) return;
    const std::pair<std::string, std::size_t> key{group.location, session.number};
    session.company = companies_.emplace(key, plan_.companies).first->second;
    plan_.companies = companies_.size();
  }

  Result<void> BindInput(const Device& device, bool is_wild, const Match* match,
                         Binding& binding) const {
    if (is_wild) {
      binding.object = match->object;
    } else if (device.path) {
      binding.object = WithAccount(*device.path);
    } else if (plan_.origin.object) {
      binding.object = WithAccount(*plan_.origin.object);
    } else if (device.name == DeviceName::kStdin) {
      return {};  // stays kNull
    } else {
      return FailAt(device.pointer,
                    "input has no path, and the request's URL names no object it could be");
    }
    binding.kind = BindingKind::kObject;
    return {};
  }

  Result<void> BindOutput(const Device& device, const Match* match, std::size_t size,
                          const Session& session, Binding& binding) {
    if (!device.path) {
      binding.kind = BindingKind::kResponse;
      return {};
    }
    const std::string pointer = device.pointer + "/path";
    const ObjectUrl pattern = WithAccount(*device.path);
    if (size > 1 && !pattern.has_wildcard()) {
      return FailAt(pointer, fmt::format("one path for {} sessions; put a * into it", size));
    }
    Result<ObjectUrl> object = FillOutput(pattern, match, session.name, pointer);
    if (!object) return Fail(object);
    const auto [other, is_new] = outputs_.emplace(*object, session.name);
    if (!is_new) {
      return FailAt(pointer,
                    fmt::format("{} would be written twice, by the sessions {} and {}; let the "
                                "path have as many * as the input",
                                object->ToString(), other->second, session.name));
    }
    binding.kind = BindingKind::kStored;
    binding.object = std::move(*object);
    return {};
  }

  Result<ObjectUrl> FillOutput(const ObjectUrl& pattern, const Match* match,
                               const std::string& session_name, const std::string& pointer) {
    ObjectUrl object = pattern;
    if (match != nullptr) {
      std::size_t next = 0;
      std::optional<std::string> container = FillWildcards(pattern.container, match->stars, &next);
      std::optional<std::string> name;
      if (container) name = FillWildcards(pattern.object, match->stars, &next);
      if (!container || !name) {
        return FailAt(pointer, fmt::format("there are more * here than in the input, which has {}",
                                           match->stars.size()));
      }
      object.container = std::move(*container);
      object.object = std::move(*name);
    } else {
      const auto fill = [&](std::string_view part) {
        std::string filled;
        for (const char c : part) {
          if (c == '*') {
            filled += session_name;
          } else {
            filled.push_back(c);
          }
        }
        return filled;
      };
      object.container = fill(pattern.container);
      object.object = fill(pattern.object);
    }
    const std::size_t bytes = object.container.size() + object.object.size();
    if (bytes > limits_.url_bytes) {
      return job::OverLimit(fmt::format("{}: bytes of the path with its * filled:", pointer),
                            "url_bytes", limits_.url_bytes, bytes);
    }
    if (object.container.empty() || object.object.empty() || object.container.contains('/')) {
      return FailAt(pointer,
                    fmt::format("the wildcards make it {}, which is no object", object.ToString()));
    }
    return object;
  }

  // Gangs and the order of groups. Groups are connected all to all, so the cycles of sessions are
  // those of groups; a group of several sessions that is connected to itself is a cycle too.
  Result<void> FindComponents() {
    const std::vector<Group>& groups = plan_.spec.groups;
    std::vector<std::vector<std::size_t>> targets(groups.size());
    std::vector<std::size_t> first(groups.size() + 1, 0);
    for (std::size_t i = 0; i < groups.size(); ++i) {
      targets[i] = groups[i].connect;
      first[i + 1] = first[i] + plan_.group_sizes[i];
    }
    component_of_.resize(groups.size());
    for (const std::vector<std::size_t>& members : StronglyConnected(targets)) {
      Component& component = plan_.components.emplace_back();
      std::string pointers;
      for (const std::size_t i : members) {
        component_of_[i] = plan_.components.size() - 1;
        for (std::size_t s = first[i]; s < first[i + 1]; ++s) component.sessions.push_back(s);
        pointers += fmt::format("{}{}", pointers.empty() ? "" : ", ", groups[i].pointer);
      }
      const std::size_t head = members.front();
      component.is_gang =
          members.size() > 1 || std::ranges::find(targets[head], head) != targets[head].end();
      if (component.is_gang && component.sessions.size() > limits_.gang_sessions) {
        return job::OverLimit(
            fmt::format("{}: connections form a cycle, so all these sessions must run at once:",
                        pointers),
            "gang_sessions", limits_.gang_sessions, component.sessions.size());
      }
    }
    for (std::size_t i = 0; i < groups.size(); ++i) {
      for (const std::size_t target : targets[i]) {
        if (component_of_[i] == component_of_[target]) continue;
        plan_.components[component_of_[target]].after.push_back(component_of_[i]);
      }
    }
    for (Component& component : plan_.components) {
      std::ranges::sort(component.after);
      const auto rest = std::ranges::unique(component.after);
      component.after.erase(rest.begin(), rest.end());
    }
    first_ = std::move(first);
    return {};
  }

  Result<void> Connect() {
    const std::vector<Group>& groups = plan_.spec.groups;
    for (std::size_t i = 0; i < groups.size(); ++i) {
      for (std::size_t c = 0; c < groups[i].connect.size(); ++c) {
        const std::size_t target = groups[i].connect[c];
        const std::string pointer = fmt::format("{}/connect/{}", groups[i].pointer, c);
        const std::size_t writers = plan_.group_sizes[i];
        const std::size_t readers = plan_.group_sizes[target];
        if (target == i && writers == 1) {
          return FailAt(pointer, fmt::format("\"{}\" has one session, which cannot be connected "
                                             "to itself",
                                             groups[i].name));
        }
        const std::size_t added = writers * (target == i ? readers - 1 : readers);
        if (plan_.edges.size() + added > limits_.connections) {
          return job::OverLimit(pointer + ": connections of the job so far:", "connections",
                                limits_.connections, plan_.edges.size() + added);
        }
        const bool is_stream = component_of_[i] == component_of_[target];
        for (std::size_t from = first_[i]; from < first_[i + 1]; ++from) {
          for (std::size_t to = first_[target]; to < first_[target + 1]; ++to) {
            if (from == to) continue;
            plan_.sessions[from].out.push_back(plan_.edges.size());
            plan_.sessions[to].in.push_back(plan_.edges.size());
            plan_.edges.push_back({.from = from, .to = to, .is_stream = is_stream});
          }
        }
      }
    }
    for (const Session& session : plan_.sessions) {
      // The devices, the program's arguments, and one for each connection.
      const std::size_t channels =
          session.bindings.size() + 1 + session.in.size() + session.out.size();
      if (channels > limits_.channels_per_session) {
        return job::OverLimit(fmt::format("{}: channels of its session {}:",
                                          groups[session.group].pointer, session.name),
                              "channels_per_session", limits_.channels_per_session, channels);
      }
    }
    return {};
  }

  Plan& plan_;
  const job::JobLimits& limits_;
  Listing& listing_;
  std::unordered_map<std::string, std::size_t> names_;                    // of sessions -> group
  std::map<ObjectUrl, std::string> outputs_;                              // -> name of the session
  std::map<std::pair<std::string, std::size_t>, std::size_t> companies_;  // tag and number
  std::uint64_t listed_ = 0;  // names that listings have returned, at most limits_.listed_names
  std::vector<std::size_t> component_of_;  // of each group
  std::vector<std::size_t> first_;         // first session of each group, and the end
};

}  // namespace

Result<Plan> Expand(job::JobSpec spec, Origin origin, const job::JobLimits& limits,
                    Listing& listing) {
  Plan plan;
  plan.spec = std::move(spec);
  plan.origin = std::move(origin);
  if (Result<void> done = Expansion(plan, limits, listing).Run(); !done) return Fail(done);
  return plan;
}

}  // namespace zerocloud::plan
