// expect: an argument cannot cross the process boundary
// SPDX-License-Identifier: MIT
#include <concurrent/futures/process_pool.hpp>
#include <map>
#include <optional>
#include <string>
#include <vector>

struct Row {
#ifdef TWIN
  int id;
#else
  const int* id;
#endif
};

int main() {
  concurrent::futures::ProcessPoolExecutor executor;
  const std::map<std::string, std::vector<std::optional<Row>>> table;
  return executor.submit([](const auto& rows) { return static_cast<int>(rows.size()); }, table)
      .result();
}
