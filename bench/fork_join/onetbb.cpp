// SPDX-License-Identifier: MIT

#include <oneapi/tbb/task_group.h>

#include "fork_join/fork_join.hpp"
#include "support/onetbb_pool.hpp"

namespace {

using namespace bench::fork_join;

std::int64_t fib(int n) {
  if (n < 2) return n;
  std::int64_t first = 0;
  tbb::task_group group;
  group.run([n, &first] { first = fib(n - 1); });
  const auto second = fib(n - 2);
  group.wait();
  return first + second;
}

std::int64_t skynet(std::int64_t first, std::int64_t leaves) {
  if (leaves == 1) return skynet_leaf(first);
  const auto share = leaves / skynet_children;
  std::array<std::int64_t, skynet_children> sums{};
  tbb::task_group group;
  for (std::int64_t child = 0; child + 1 < skynet_children; ++child) {
    group.run([=, &sum = sums[static_cast<std::size_t>(child)]] {
      sum = skynet(first + child * share, share);
    });
  }
  auto sum = skynet(first + (skynet_children - 1) * share, share);
  group.wait();
  for (const auto part : sums) sum += part;
  return sum;
}

std::int64_t queens(const Board& board, int row, int n) {
  if (row == n) return 1;
  std::array<std::int64_t, max_queens> parts{};
  tbb::task_group group;
  for (int column = 0; column < n; ++column) {
    if (!safe(board, row, column)) continue;
    group.run(
        [next = with_queen(board, row, column), row, n,
         &part = parts[static_cast<std::size_t>(column)]] { part = queens(next, row + 1, n); });
  }
  group.wait();
  std::int64_t solutions = 0;
  for (const auto part : parts) solutions += part;
  return solutions;
}

void multiply(const Product& whole, std::size_t size) {
  if (size == matmul_leaf) return multiply_leaf(whole.a, whole.b, whole.c);
  const auto half = size / 2;
  for (std::size_t k = 0; k < 2; ++k) {
    tbb::task_group group;
    for (std::size_t i = 0; i < 3; ++i) {
      group.run([part = product(whole, half, i / 2, i % 2, k), half] { multiply(part, half); });
    }
    multiply(product(whole, half, 1, 1, k), half);
    group.wait();
  }
}

class Programs {
 public:
  explicit Programs(unsigned workers) : workers_(workers) {}
  std::int64_t fib(int n) {
    return in_arena([n] { return ::fib(n); });
  }
  std::int64_t skynet(std::int64_t leaves) {
    return in_arena([leaves] { return ::skynet(0, leaves); });
  }
  std::int64_t queens(int n) {
    return in_arena([n] { return ::queens(Board{}, 0, n); });
  }
  void multiply(const Product& whole, std::size_t size) {
    in_arena([&] {
      ::multiply(whole, size);
      return std::int64_t{0};
    });
  }

 private:
  template <class Body>
  std::int64_t in_arena(Body body) {
    std::int64_t result = 0;
    bench::in_arena(workers_, [&] { result = body(); });
    return result;
  }

  unsigned workers_;
};

[[maybe_unused]] const bool added = add_programs<Programs>("oneTBB task_group", bench::Kind::peer);

}  // namespace
