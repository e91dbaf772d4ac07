// SPDX-License-Identifier: MIT
// The same recursions as plain calls in one thread.

#include "fork_join/fork_join.hpp"

namespace {

using namespace bench::fork_join;

std::int64_t fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

std::int64_t skynet(std::int64_t first, std::int64_t leaves) {
  if (leaves == 1) return skynet_leaf(first);
  const auto share = leaves / skynet_children;
  std::int64_t sum = 0;
  for (std::int64_t child = 0; child < skynet_children; ++child) {
    sum += skynet(first + child * share, share);
  }
  return sum;
}

std::int64_t queens(const Board& board, int row, int n) {
  if (row == n) return 1;
  std::int64_t solutions = 0;
  for (int column = 0; column < n; ++column) {
    if (safe(board, row, column)) solutions += queens(with_queen(board, row, column), row + 1, n);
  }
  return solutions;
}

void multiply(const Product& whole, std::size_t size) {
  if (size == matmul_leaf) return multiply_leaf(whole.a, whole.b, whole.c);
  for (std::size_t i = 0; i < 8; ++i) {
    multiply(product(whole, size / 2, i / 2 % 2, i % 2, i / 4), size / 2);
  }
}

struct Programs {
  explicit Programs(unsigned) {}
  std::int64_t fib(int n) {
    benchmark::DoNotOptimize(n);
    return ::fib(n);
  }
  std::int64_t skynet(std::int64_t leaves) { return ::skynet(0, leaves); }
  std::int64_t queens(int n) { return ::queens(Board{}, 0, n); }
  void multiply(const Product& whole, std::size_t size) { ::multiply(whole, size); }
};

[[maybe_unused]] const bool added = add_programs<Programs>("sequential", bench::Kind::sequential);

}  // namespace
