// SPDX-License-Identifier: MIT

// Payloads of all sizes through a process pool.

#include <concurrent/futures/process_pool.hpp>
#include <concurrent/futures/wait.hpp>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "process_pool_support.hpp"
#include "support/catch.hpp"

using namespace process_test;

namespace {

std::vector<char> identity(std::vector<char> bytes) { return bytes; }

/// Bytes that are different everywhere, so that nothing is lost, doubled or swapped unseen.
std::vector<char> pattern(std::size_t size) {
  std::vector<char> bytes(size);
  std::uint64_t state = size + 1;
  for (char& byte : bytes) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    byte = static_cast<char>(state >> 56U);
  }
  return bytes;
}

std::size_t free_memory() {
  std::ifstream meminfo("/proc/meminfo");
  std::string name;
  std::size_t kilobytes = 0;
  for (std::string unit; meminfo >> name >> kilobytes >> unit;) {
    if (name == "MemAvailable:") return kilobytes * 1024;
  }
  return 0;
}

}  // namespace

TEST_CASE("payloads of all sizes come back whole") {
  ProcessPoolExecutor executor({.max_workers = 1});
  const std::size_t kib = 1024;
  // Around the sizes where a frame just fits a buffer, a page, a socket; and odd ones.
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{15}, std::size_t{16}, 4 * kib - 1,
        4 * kib,        16 * kib - 80,  16 * kib - 64,   16 * kib - 48,   16 * kib - 32,
        16 * kib - 16,  16 * kib - 8,   16 * kib,        16 * kib + 1,    64 * kib - 1,
        64 * kib,       64 * kib + 1,   208 * kib,       1024 * kib,      5 * 1024 * kib + 3}) {
    const std::vector<char> sent = pattern(size);
    const std::vector<char> back = executor.submit(identity, sent).result();
    CHECK(back == sent);
  }
}

TEST_CASE("every size up to a few pages comes back whole, many at a time") {
  ProcessPoolExecutor executor({.max_workers = 2});
  std::vector<std::vector<char>> sent;
  for (std::size_t size = 0; size < 20000; size += 97) sent.push_back(pattern(size));
  std::size_t index = 0;
  std::size_t wrong = 0;
  for (const auto& back : executor.map({.chunksize = 1}, identity, sent)) {
    if (back != sent[index++]) ++wrong;
  }
  CHECK(index == sent.size());
  CHECK(wrong == 0);
}

TEST_CASE("both directions full at once, and thousands of tasks behind it, do not deadlock") {
  ProcessPoolExecutor executor({.max_workers = 2});
  const std::vector<char> large = pattern(std::size_t{4} << 20U);
  std::vector<Future<std::vector<char>>> large_ones;
  std::vector<Future<int>> small_ones;
  for (int i = 0; i < 16; ++i) {
    large_ones.push_back(executor.submit(identity, large));
    for (int k = 0; k < 200; ++k) {
      small_ones.push_back(executor.submit([](int x) { return x; }, k));
    }
  }
  for (const auto& future : large_ones) CHECK(future.result() == large);
  std::size_t sum = 0;
  for (const auto& future : small_ones) sum += static_cast<std::size_t>(future.result());
  CHECK(sum == 16U * 19900U);
}

TEST_CASE("large arguments without results, and large results without arguments") {
  ProcessPoolExecutor executor({.max_workers = 2});
  const std::vector<char> large = pattern(std::size_t{3} << 20U);
  std::vector<Future<std::size_t>> sizes;
  for (int i = 0; i < 10; ++i) {
    sizes.push_back(executor.submit([](const std::vector<char>& b) { return b.size(); }, large));
  }
  std::vector<Future<std::vector<char>>> results;
  for (int i = 0; i < 10; ++i) {
    results.push_back(
        executor.submit([](std::size_t size) { return pattern(size); }, large.size()));
  }
  for (const auto& future : sizes) CHECK(future.result() == large.size());
  for (const auto& future : results) CHECK(future.result() == large);
}

TEST_CASE("a payload of more than 2 GiB crosses in both directions", "[.][large]") {
  constexpr std::size_t size = (std::size_t{2} << 30U) + (std::size_t{64} << 20U) + 5;
  if (free_memory() < 6 * size) {
    WARN("not enough memory for this test");
    return;
  }
  ProcessPoolExecutor executor({.max_workers = 1});
  std::vector<char> sent(size, 'a');
  sent[size / 2] = 'm';
  sent.back() = 'z';
  auto future = executor.submit(identity, sent);
  const std::vector<char> back = std::move(future).result();
  CHECK(back.size() == size);
  CHECK(back[size / 2] == 'm');
  CHECK(back.back() == 'z');
  CHECK(back.front() == 'a');
}
