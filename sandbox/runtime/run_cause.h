// Why a run of `zerovm` ended as it did: the closed list behind the key "cause" of the JSON report.
// docs/manifest.md lists it for users; a test keeps the two alike.
#pragma once

#include <string_view>

namespace zerocloud::runtime {

struct RunCause {
  std::string_view name;
  std::string_view meaning;
};

// Before or without a session.
inline constexpr std::string_view kCauseVerified = "verified";
inline constexpr std::string_view kCauseManifestUnreadable = "manifest_unreadable";
inline constexpr std::string_view kCauseManifestInvalid = "manifest_invalid";
inline constexpr std::string_view kCauseProgramUnreadable = "program_unreadable";
inline constexpr std::string_view kCauseProgramRejected = "program_rejected";
inline constexpr std::string_view kCauseMemoryInvalid = "memory_invalid";
inline constexpr std::string_view kCauseChannelUnusable = "channel_unusable";
inline constexpr std::string_view kCausePeerMissing = "peer_missing";
inline constexpr std::string_view kCauseNetworkUnusable = "network_unusable";
inline constexpr std::string_view kCauseHostUnavailable = "host_unavailable";
// Instead of what the session says.
inline constexpr std::string_view kCauseStreamBroken = "stream_broken";
inline constexpr std::string_view kCauseDiskQuota = "disk_quota";
inline constexpr std::string_view kCauseOutputUncut = "output_uncut";

inline constexpr RunCause kRunCauses[] = {
    {kCauseVerified, "`-F`: everything was accepted, nothing was run"},
    {kCauseManifestUnreadable, "the manifest cannot be opened or read"},
    {kCauseManifestInvalid, "a line of the manifest is wrong, or one is missing"},
    {kCauseProgramUnreadable, "the program cannot be opened or read, or is a special file"},
    {kCauseProgramRejected, "the program is no guest program or fails verification"},
    {kCauseMemoryInvalid, "Memory is too small for the program and its channels"},
    {kCauseChannelUnusable, "a source cannot be opened, created or used as the channel says"},
    {kCausePeerMissing, "another side of a FIFO or network channel did not come within Timeout"},
    {kCauseNetworkUnusable, "an address cannot be had, or the name server does not answer"},
    {kCauseHostUnavailable, "the host is out of processes, memory or descriptors"},
    {"exited", "the guest called exit"},
    {"forked", "the guest called fork, and a daemon goes on from there"},
    {"faulted", "the guest raised a signal"},
    {"timed_out", "Timeout passed"},
    {"killed", "killed from outside"},
    {"cpu_limit", "the session used more processor time than `--cpu-limit`"},
    {"memory_limit", "the session used more resident memory than `--memory-limit`"},
    {"channel_io", "the host could not read or write a channel, or its sources did not agree"},
    {"violated", "the second wall stopped a system call that no session makes"},
    {"host_error", "the session could not be set up, or trusted code failed"},
    {kCauseStreamBroken, "a network stream was cut off or had a wrong digest"},
    {kCauseDiskQuota, "a file would have become longer than the host allows"},
    {kCauseOutputUncut, "the guest ended, but a file could not be cut to what was written"},
};

}  // namespace zerocloud::runtime
