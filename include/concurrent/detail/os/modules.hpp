// SPDX-License-Identifier: MIT
#pragma once

// Where the program and its shared libraries lie in memory. No counterpart in Python, whose
// functions have names.

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace concurrent::detail::os {

/// The program itself, or a shared library that is loaded.
struct Module {
  std::string path;  // empty: the program
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  std::string build_id;  // empty: the linker was not asked for one

  [[nodiscard]] bool contains(std::uintptr_t address) const noexcept {
    return address >= begin && address < end;
  }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(path, begin, end, build_id);
  }
};

/// The build id among the notes in [begin, end), if it is there.
inline std::string build_id_in(std::uintptr_t begin, std::uintptr_t end) {
  constexpr auto padded = [](std::size_t size) { return (size + 3) / 4 * 4; };
  for (std::uintptr_t at = begin; at + sizeof(ElfW(Nhdr)) <= end;) {
    ElfW(Nhdr) note;
    std::memcpy(&note, reinterpret_cast<const void*>(at), sizeof note);
    const std::uintptr_t name = at + sizeof note;
    const std::uintptr_t text = name + padded(note.n_namesz);
    at = text + padded(note.n_descsz);
    if (at > end) break;
    if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4) continue;
    if (std::memcmp(reinterpret_cast<const void*>(name), "GNU", 4) != 0) continue;
    return {reinterpret_cast<const char*>(text), note.n_descsz};
  }
  return {};
}

inline Module module_of(const dl_phdr_info& info) {
  Module module{info.dlpi_name != nullptr ? info.dlpi_name : "", UINTPTR_MAX, 0, {}};
  for (std::size_t i = 0; i < info.dlpi_phnum; ++i) {
    const auto& part = info.dlpi_phdr[i];
    const std::uintptr_t begin = info.dlpi_addr + part.p_vaddr;
    if (part.p_type != PT_LOAD) continue;
    if (begin < module.begin) module.begin = begin;
    if (begin + part.p_memsz > module.end) module.end = begin + part.p_memsz;
  }
  for (std::size_t i = 0; i < info.dlpi_phnum && module.build_id.empty(); ++i) {
    const auto& part = info.dlpi_phdr[i];
    const std::uintptr_t begin = info.dlpi_addr + part.p_vaddr;
    if (part.p_type != PT_NOTE || begin < module.begin) continue;
    if (begin + part.p_memsz <= module.end) {
      module.build_id = build_id_in(begin, begin + part.p_memsz);
    }
  }
  return module;
}

/// All that is loaded now, the program first. @throws std::bad_alloc
inline std::vector<Module> loaded_modules() {
  struct Found {
    std::vector<Module> modules;
    std::exception_ptr error;
  } found;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* to) {
        auto& all = *static_cast<Found*>(to);
        try {
          all.modules.push_back(module_of(*info));
          return 0;
        } catch (...) {  // the loader's own frames are no place for it
          all.error = std::current_exception();
          return 1;
        }
      },
      &found);
  if (found.error != nullptr) std::rethrow_exception(found.error);
  if (!found.modules.empty()) found.modules.front().path.clear();  // some loaders name it
  return std::move(found.modules);
}

}  // namespace concurrent::detail::os
