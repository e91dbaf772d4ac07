// expect: an argument cannot cross the process boundary: its type must be trivially copyable
// SPDX-License-Identifier: MIT
#include <concurrent/futures/process_pool.hpp>
#include <string>

struct Person {
  std::string name;
#ifdef TWIN
  template <class Archive>
  void serialize(Archive& archive) {
    archive(name);
  }
#endif
};

int main() {
  concurrent::futures::ProcessPoolExecutor executor;
  return executor.submit([](const Person& p) { return static_cast<int>(p.name.size()); }, Person{})
      .result();
}
