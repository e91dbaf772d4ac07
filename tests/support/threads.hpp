// SPDX-License-Identifier: MIT
#pragma once

// The threads of this process, as the operating system shows them.

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace support {

/// The names of this process's threads that begin with `prefix`, in no order.
inline std::vector<std::string> thread_names(std::string_view prefix) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task", error)) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    if (name.starts_with(prefix)) names.push_back(name);
  }
  return names;
}

/// Returns when this process has `count` threads whose names begin with `prefix`. (A thread that
/// was joined is still listed for a moment.)
inline void await_threads(std::string_view prefix, std::size_t count) {
  while (thread_names(prefix).size() != count) std::this_thread::yield();
}

}  // namespace support
