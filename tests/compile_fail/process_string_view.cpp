// expect: an argument is a view or a reference, which refers to nothing in another process
// SPDX-License-Identifier: MIT
#include <concurrent/futures/process_pool.hpp>
#include <string>
#include <string_view>

int main() {
  concurrent::futures::ProcessPoolExecutor executor;
  const auto length = [](std::string_view text) { return static_cast<int>(text.size()); };
#ifdef TWIN
  return executor.submit(length, std::string("text")).result();
#else
  return executor.submit(length, std::string_view("text")).result();
#endif
}
