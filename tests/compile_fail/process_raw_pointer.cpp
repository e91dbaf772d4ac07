// expect: an argument is a raw pointer, which points at nothing in another process
// SPDX-License-Identifier: MIT
#include <concurrent/futures/process_pool.hpp>
#include <string>

int main() {
  concurrent::futures::ProcessPoolExecutor executor;
  const auto length = [](const std::string& text) { return static_cast<int>(text.size()); };
#ifdef TWIN
  return executor.submit(length, std::string("text")).result();
#else
  return executor.submit(length, "text").result();
#endif
}
