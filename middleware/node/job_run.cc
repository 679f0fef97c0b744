#include "middleware/node/job_run.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

namespace zerocloud::node {
namespace {

store::ObjectPath PathOf(const job::ObjectUrl& url) {
  return {url.account, url.container, url.object};
}

// The caller's view of what is stored, as long as the job is wanted.
class StoreListing : public plan::Listing {
 public:
  explicit StoreListing(const JobRun& job) : job_(job) {}
  Result<std::vector<std::string>> Containers(const std::string& account, const std::string& prefix,
                                              std::size_t limit) override {
    if (Result<void> wanted = job_.CheckWanted(); !wanted) return Fail(wanted);
    return job_.store.ListContainers(job_.request.caller, account, prefix, limit);
  }
  Result<std::vector<std::string>> Objects(const std::string& account, const std::string& container,
                                           const std::string& prefix, std::size_t limit) override {
    if (Result<void> wanted = job_.CheckWanted(); !wanted) return Fail(wanted);
    Result<std::vector<store::ListedObject>> objects =
        job_.store.ListObjects(job_.request.caller, account, container, prefix, limit);
    if (!objects) return Fail(objects);
    std::vector<std::string> names;
    names.reserve(objects->size());
    for (store::ListedObject& object : *objects) {
      names.push_back(object.name);
      listed_.insert_or_assign({account, container, object.name}, std::move(object));
    }
    return names;
  }
  // What it said about those objects that sessions of the plan read.
  std::map<store::ObjectPath, store::ListedObject> TakeListed(const plan::Plan& plan) {
    std::map<store::ObjectPath, store::ListedObject> taken;
    for (const plan::Session& session : plan.sessions) {
      for (const plan::Binding& binding : session.bindings) {
        if (binding.kind != plan::BindingKind::kObject) continue;
        taken.insert(listed_.extract(PathOf(binding.object)));
      }
    }
    listed_.clear();
    return taken;
  }

 private:
  const JobRun& job_;
  std::map<store::ObjectPath, store::ListedObject> listed_;
};

std::unexpected<Error> FailAt(const std::string& pointer, const Error& error) {
  return Fail(error.code, fmt::format("{}: {}", pointer, error.message));
}

// Pieces one after the other.
class SpooledBody : public http::BodySource {
 public:
  SpooledBody(std::shared_ptr<JobSpool> spool, std::vector<Piece> pieces)
      : spool_(std::move(spool)), pieces_(std::move(pieces)) {}

  Result<std::size_t> Read(std::span<std::byte> buffer) override {
    while (next_ < pieces_.size()) {
      if (offset_ < pieces_[next_].size) {
        Result<std::size_t> got = spool_->Read(pieces_[next_], offset_, buffer);
        if (got) offset_ += *got;
        return got;
      }
      spool_->Drop(pieces_[next_]);
      ++next_;
      offset_ = 0;
    }
    return std::size_t{0};
  }

 private:
  std::shared_ptr<JobSpool> spool_;
  std::vector<Piece> pieces_;
  std::size_t next_ = 0;
  std::uint64_t offset_ = 0;
};

}  // namespace

std::uint64_t BytesOnDisk(const SessionFiles& files) {
  std::uint64_t bytes = 0;
  for (const OutputFile& output : files.outputs) {
    struct stat facts{};
    if (::fstat(output.file.get(), &facts) != 0) continue;
    // The size of a file with holes, and the blocks of a small one, are more than it takes.
    bytes +=
        static_cast<std::uint64_t>(std::min<std::int64_t>(facts.st_size, facts.st_blocks * 512));
  }
  return bytes;
}

Result<void> JobRun::CheckWanted() const {
  if (is_stopping) return Fail(ErrorCode::kCancelled, "the job has ended already");
  return {};
}

Result<void> JobRun::Prepare() {
  StoreListing listing(*this);
  Result<plan::Plan> expanded = plan::Expand(request.spec, request.origin, config.limits, listing);
  if (!expanded) return Fail(expanded);
  plan = std::move(*expanded);
  listed = listing.TakeListed(plan);

  using Loaded = std::pair<std::shared_ptr<const loader::Image>, std::shared_ptr<ProgramFile>>;
  std::map<job::ObjectUrl, Loaded> loaded;
  for (job::Group& group : plan.spec.groups) {
    if (group.program.account.empty()) group.program.account = request.origin.account;
    const std::string pointer = group.pointer + "/exec/path";
    if (!loaded.contains(group.program)) {
      if (Result<void> wanted = CheckWanted(); !wanted) return wanted;
      const auto check = [this](std::uint64_t bytes) -> Result<void> {
        if (bytes <= config.limits.program_bytes) return CheckWanted();
        return job::OverLimit("bytes of the program:", "program_bytes", config.limits.program_bytes,
                              bytes);
      };
      Result<store::OpenedObject> file =
          store.OpenInput(request.caller, PathOf(group.program), {.may_fetch = check});
      if (!file) return FailAt(pointer, file.error());
      if (Result<void> fits = check(file->info.size); !fits) return FailAt(pointer, fits.error());
      Result<Program> program = images.Load(file->file.get(), file->info.size);
      if (!program) {
        return Fail(
            program.error().code,
            fmt::format("{}: {}: {}", pointer, group.program.ToString(), program.error().message));
      }
      std::shared_ptr<ProgramFile> kept_file;
      if (keeps_program_files) {
        kept_file = std::make_shared<ProgramFile>(std::move(file->file), file->info.size,
                                                  std::move(program->sha256));
      }
      loaded.emplace(group.program, Loaded{std::move(program->image), std::move(kept_file)});
    }
    programs.push_back(loaded.at(group.program).first);
    program_files.push_back(loaded.at(group.program).second);
  }

  // Swift grants writing by container: one question each, before anything runs.
  std::set<std::pair<std::string, std::string>> asked;
  for (const plan::Session& session : plan.sessions) {
    for (const plan::Binding& binding : session.bindings) {
      if (binding.kind != plan::BindingKind::kStored) continue;
      if (!asked.emplace(binding.object.account, binding.object.container).second) continue;
      if (Result<void> wanted = CheckWanted(); !wanted) return wanted;
      Result<void> may = store.CheckWritable(request.caller, PathOf(binding.object));
      if (!may) return FailAt(binding.declared->pointer + "/path", may.error());
    }
  }
  for (std::size_t i = 0; i < plan.companies; ++i) companies.push_back(std::make_shared<Company>());
  edges.resize(plan.edges.size());
  kept.resize(plan.sessions.size());
  return {};
}

Result<void> JobRun::Keep(std::size_t session, SessionFiles files,
                          const runtime::SessionReport& report) {
  std::unordered_map<std::string_view, std::uint64_t> sizes;
  for (const runtime::ChannelUsage& usage : report.channels) sizes[usage.alias] = usage.size;
  for (OutputFile& output : files.outputs) {
    const std::uint64_t size = sizes[output.alias];
    if (output.binding != nullptr && output.binding->kind == plan::BindingKind::kResponse) {
      const std::uint64_t all = response_bytes += size;
      if (all > config.limits.response_bytes) {
        return job::OverLimit("bytes of all outputs without a path:", "response_bytes",
                              config.limits.response_bytes, all);
      }
    }
    const auto held = files.held.find(output.alias);
    Result<Piece> piece = held != files.held.end() ? spool->KeepHeld(std::move(held->second), size)
                                                   : spool->Keep(std::move(output.file), size);
    if (!piece) return Fail(piece);
    if (output.edge) {
      edges[*output.edge] = std::move(*piece);
    } else {
      kept[session].push_back({output.binding, std::move(*piece)});
    }
  }
  for (const std::size_t edge : plan.sessions[session].in) spool->Drop(edges[edge]);
  return {};
}

Result<void> JobRun::StoreOutputs() {
  for (;;) {
    const std::size_t session = next_to_store++;
    if (session >= plan.sessions.size()) return {};
    for (KeptOutput& output : kept[session]) {
      if (output.binding->kind != plan::BindingKind::kStored) continue;
      if (Result<void> wanted = CheckWanted(); !wanted) return wanted;
      const auto fail = [&](const Error& why) {
        return Fail(why.code, fmt::format("{}/path: cannot store {} of session {}: {}",
                                          output.binding->declared->pointer,
                                          output.binding->object.ToString(),
                                          plan.sessions[session].name, why.message));
      };
      const store::NewObject object{PathOf(output.binding->object),
                                    output.binding->declared->content_type,
                                    output.binding->declared->metadata};
      const Result<store::ObjectInfo> info =
          StorePiece(CallerOf(plan.sessions[session].name), object, output.piece);
      if (!info) return fail(info.error());
      outcomes[session].stored.push_back(
          {output.binding->device, output.binding->object, output.piece.size, info->etag});
      spool->Drop(output.piece);
    }
  }
}

Result<store::ObjectInfo> JobRun::StorePiece(const store::Caller& caller,
                                             const store::NewObject& object, const Piece& piece) {
  if (piece.held != nullptr) {
    Result<store::ObjectInfo> stored = piece.held->Store(caller, object, stop.get_token());
    // That machine may have no way to the store where this one has.
    const bool is_final = stored || (stored.error().code != ErrorCode::kUnavailable &&
                                     stored.error().code != ErrorCode::kInternal &&
                                     stored.error().code != ErrorCode::kTimeout);
    if (is_final) return stored;
  }
  Result<UniqueFd> file = spool->AsFile(piece, stop.get_token());
  if (!file) return Fail(file);
  return store.Put(caller, object, file->get(), piece.size);
}

store::Caller JobRun::CallerOf(std::string_view session) const {
  store::Caller caller = request.caller;
  if (!caller.trace.empty()) caller.trace = store::SessionTrace(caller.trace, session);
  return caller;
}

void JobRun::TellOfLaterRuns() {
  for (std::size_t i = 0; i < later.size(); ++i) {
    if (later[i] == nullptr) continue;
    for (std::string& lost : later[i]->lost()) outcomes[i].failed_nodes.push_back(std::move(lost));
    if (std::string node = later[i]->node(); !node.empty()) outcomes[i].node = std::move(node);
  }
}

void JobRun::TakeResponse(JobResult& result) {
  std::vector<Piece> pieces;
  const plan::Binding* first = nullptr;
  for (std::vector<KeptOutput>& outputs : kept) {
    std::ranges::sort(outputs, {}, [](const KeptOutput& output) { return output.binding->device; });
    for (KeptOutput& output : outputs) {
      if (output.binding->kind != plan::BindingKind::kResponse) continue;
      if (first == nullptr) first = output.binding;
      result.body_size += output.piece.size;
      pieces.push_back(std::move(output.piece));
    }
  }
  if (first != nullptr) result.content_type = first->declared->content_type;
  result.body = std::make_unique<SpooledBody>(spool, std::move(pieces));
}

}  // namespace zerocloud::node
