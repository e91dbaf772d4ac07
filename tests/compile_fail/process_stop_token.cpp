// expect: a stop token does not reach another process
// SPDX-License-Identifier: MIT
#include <concurrent/futures/process_pool.hpp>
#include <stop_token>

int main() {
  concurrent::futures::ProcessPoolExecutor executor;
#ifdef TWIN
  executor.submit([](int) {}, 1).result();
#else
  executor.submit([](std::stop_token, int) {}, 1).result();
#endif
}
