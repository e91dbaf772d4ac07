// SPDX-License-Identifier: MIT
#pragma once

// What main calls first in a program that starts processes by StartMethod::spawn.
// Counterpart: multiprocessing.freeze_support.

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace concurrent::multiprocessing {

namespace detail {

/// What a copy of the program is, by its first argument, and what it does. It is entered before
/// main begins, by whoever starts such copies.
struct SpawnedProgram {
  static constexpr const char* marker = "--concurrent-process-pool";

  void (*run)(int argc, const char* const* argv) = nullptr;
  const char* program_name = nullptr;  // null: freeze_support was not called
};
inline constinit SpawnedProgram spawned_program;

}  // namespace detail

/// To be called first in main, before anything else happens there. A pool with StartMethod::spawn
/// starts the program a second time; in that process this call does what the pool wants and never
/// returns. Otherwise it returns at once.
///
/// @pre No other thread uses a process pool yet.
///
/// **Blocking** for good, in a process that a pool has started.
/// **Python** multiprocessing.freeze_support, which takes the arguments from sys.argv. There
/// `if __name__ == "__main__"` keeps the rest of the program from running again; here this does.
/// **Example**
/// ```
/// int main(int argc, char** argv) {
///   concurrent::multiprocessing::freeze_support(argc, argv);
///   ProcessPoolExecutor executor({.start_method = StartMethod::spawn});
/// ```
inline void freeze_support(int argc, const char* const* argv) {
  using detail::spawned_program;
  spawned_program.program_name = argc > 0 ? argv[0] : "";
  if (argc < 2 || std::strcmp(argv[1], detail::SpawnedProgram::marker) != 0) return;
  if (spawned_program.run != nullptr) spawned_program.run(argc, argv);
  std::fprintf(stderr, "%s: %s is for processes that a process pool starts\n", argv[0], argv[1]);
  std::_Exit(EXIT_FAILURE);
}

}  // namespace concurrent::multiprocessing
