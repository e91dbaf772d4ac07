// SPDX-License-Identifier: MIT
#pragma once

// Addresses of code on their way between a pool and its workers. They are the same in processes
// that come from one another by fork; a process that was started anew has its code elsewhere.
// Counterpart: pickle, which writes functions by name.

#include <array>
#include <concurrent/detail/os/modules.hpp>
#include <concurrent/multiprocessing/detail/byte_buffer.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace concurrent::multiprocessing::detail {

/// What a message means by an address: the one in the process that made the pool. So only processes
/// that were started anew, and what they fork, ever translate; they do it as they read and write.
class CodeMap {
 public:
  explicit CodeMap(std::vector<concurrent::detail::os::Module> theirs);

  /// @throws CorruptDataError for what this process does not have.
  [[nodiscard]] std::uintptr_t from_wire(std::uintptr_t address) const;
  /// @throws std::runtime_error for what only this process has.
  [[nodiscard]] std::uintptr_t to_wire(std::uintptr_t address) const;

  /// Those whose addresses messages hold.
  [[nodiscard]] std::vector<concurrent::detail::os::Module> modules() const;

 private:
  struct Entry {
    concurrent::detail::os::Module theirs;
    std::uintptr_t begin_here = 0;  // 0: it is not here
    const char* why_not = "which is not loaded here";
  };
  std::vector<Entry> entries_;
};

/// Of this process; null: its addresses are those in messages.
inline constinit const CodeMap* code_map = nullptr;

inline CodeMap::CodeMap(std::vector<concurrent::detail::os::Module> theirs) {
  const auto own = concurrent::detail::os::loaded_modules();
  for (auto& module : theirs) {
    Entry& entry = entries_.emplace_back();
    for (const auto& here : own) {
      if (here.path != module.path) continue;
      if (here.build_id == module.build_id && here.end - here.begin == module.end - module.begin) {
        entry.begin_here = here.begin;
      } else {
        entry.why_not = "of which another build is loaded here";
      }
      break;
    }
    entry.theirs = std::move(module);
  }
}

inline std::uintptr_t CodeMap::from_wire(std::uintptr_t address) const {
  if (address == 0) return 0;
  for (const Entry& entry : entries_) {
    if (!entry.theirs.contains(address)) continue;
    if (entry.begin_here != 0) return entry.begin_here + (address - entry.theirs.begin);
    throw CorruptDataError("a function is in " + entry.theirs.path + ", " + entry.why_not);
  }
  throw CorruptDataError(
      "a function is in none of the libraries that the program had loaded when its pool was made "
      "with StartMethod::spawn");
}

inline std::uintptr_t CodeMap::to_wire(std::uintptr_t address) const {
  if (address == 0) return 0;
  for (const Entry& entry : entries_) {
    const std::uintptr_t offset = address - entry.begin_here;
    if (entry.begin_here == 0 || offset >= entry.theirs.end - entry.theirs.begin) continue;
    return entry.theirs.begin + offset;
  }
  throw std::runtime_error(
      "a function is in a library that only this worker has loaded, so its address cannot be sent");
}

inline std::vector<concurrent::detail::os::Module> CodeMap::modules() const {
  std::vector<concurrent::detail::os::Module> all;
  all.reserve(entries_.size());
  for (const Entry& entry : entries_) all.push_back(entry.theirs);
  return all;
}

/// The pointer to code that a T is, or is an array of; else void.
template <class T>
struct CodeIn
    : std::conditional<(std::is_pointer_v<T> && std::is_function_v<std::remove_pointer_t<T>>) ||
                           std::is_member_function_pointer_v<T>,
                       T, void> {};
template <class T, std::size_t N>
struct CodeIn<T[N]> : CodeIn<std::remove_cv_t<T>> {};
template <class T, std::size_t N>
struct CodeIn<std::array<T, N>> : CodeIn<std::remove_cv_t<T>> {};

template <class T>
concept holds_code = !std::is_void_v<typename CodeIn<std::remove_cv_t<T>>::type>;

/// Whether a pointer to a member function, as it lies in memory, is an index into a virtual table
/// rather than an address (Itanium C++ ABI, 2.3).
inline bool is_virtual_member(const std::uintptr_t (&words)[2]) noexcept {
#if defined(__arm__) || defined(__aarch64__)
  return (words[1] & 1U) != 0;
#else
  return (words[0] & 1U) != 0;
#endif
}

template <class Code>
void translate_code(std::byte* at, std::size_t count,
                    std::uintptr_t (CodeMap::*translate)(std::uintptr_t) const) {
  for (; count != 0; --count, at += sizeof(Code)) {
    std::uintptr_t words[2]{};
    static_assert(sizeof(Code) <= sizeof words);
    std::memcpy(words, at, sizeof(Code));
    if (std::is_member_function_pointer_v<Code> && is_virtual_member(words)) continue;
    words[0] = (code_map->*translate)(words[0]);
    std::memcpy(at, words, sizeof(Code));
  }
}

/// The `size` bytes at `at` are Ts that were written just now.
template <class T>
void code_to_wire([[maybe_unused]] std::byte* at, [[maybe_unused]] std::size_t size) {
  if constexpr (holds_code<T>) {
    using Code = typename CodeIn<std::remove_cv_t<T>>::type;
    if (code_map != nullptr) translate_code<Code>(at, size / sizeof(Code), &CodeMap::to_wire);
  }
}
/// They were read just now.
template <class T>
void code_from_wire([[maybe_unused]] void* at, [[maybe_unused]] std::size_t size) {
  if constexpr (holds_code<T>) {
    using Code = typename CodeIn<std::remove_cv_t<T>>::type;
    if (code_map == nullptr) return;
    translate_code<Code>(static_cast<std::byte*>(at), size / sizeof(Code), &CodeMap::from_wire);
  }
}

}  // namespace concurrent::multiprocessing::detail
