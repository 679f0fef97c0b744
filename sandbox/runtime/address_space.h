// The guest's address space as data: which regions a session has, and the user manifest that the
// guest reads at ZVM_MANIFEST_ADDRESS. Pure: no host calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "channels/base/result.h"
#include "channels/channel_rules.h"
#include "sandbox/loader/elf_image.h"
#include "sandbox/runtime/session_block.h"

namespace zerocloud::runtime {

// What the guest is told about one channel.
struct ChannelFacts {
  std::string alias;
  channels::ChannelState state;  // as the session starts
  // Bytes of its file that are mapped into guest memory, up to its end; 0: it is not mapped.
  std::uint64_t map_size = 0;
  bool is_readiness = false;  // the readiness channel: the last one, without a record
};

struct AddressSpace {
  std::vector<Region> regions;          // sorted, disjoint, all below 4 GiB
  std::vector<unsigned char> manifest;  // bytes for ZVM_MANIFEST_ADDRESS
  std::uint64_t heap_address = 0;
  std::uint64_t heap_size = 0;
};

// Lays out a session. `image_regions` are the image's (sorted, from ZVM_IMAGE_ADDRESS up);
// `memory_size` is what the manifest grants: stack, image and heap together, 1 byte to 4 GiB. The
// heap gets what the stack and the image leave of it, in 64 KiB units, and ends 1 MiB below the
// stack at the latest. Mapped channels lie below the stack, each between unmapped memory; they are
// no part of the memory size, but the heap ends below them. kInvalid: no room for a heap of 64 KiB,
// or the channels do not fit the manifest pages.
Result<AddressSpace> LayOut(std::span<const Region> image_regions, std::uint64_t memory_size,
                            std::span<const ChannelFacts> channels);

// The regions of a program: what its memory file backs, and the zero pages behind it.
std::vector<Region> ImageRegions(const loader::ImageLayout& layout);

// Cuts regions that are code by the guest's wish out of plain data. REQUIRES: `jailed` is sorted,
// disjoint, in whole pages, and all within plain data.
void CutOutJailed(AddressSpace& space, std::span<const Region> jailed);

}  // namespace zerocloud::runtime
