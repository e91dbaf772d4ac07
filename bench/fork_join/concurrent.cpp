// SPDX-License-Identifier: MIT
// Plain submit and result: what a Python programmer would write, without knowing that it deadlocks
// there.

#include <concurrent/futures/wait.hpp>

#include "fork_join/fork_join.hpp"
#include "support/concurrent_pool.hpp"

namespace {

using namespace bench::fork_join;
using concurrent::futures::Future;
using concurrent::futures::ThreadPoolExecutor;
using concurrent::futures::wait;

class Programs {
 public:
  explicit Programs(unsigned workers) : pool_(std::size_t{workers}) {}

  std::int64_t fib(int n) {
    return pool_.submit([this, n] { return fib_task(n); }).result();
  }
  std::int64_t skynet(std::int64_t leaves) {
    return pool_.submit([this, leaves] { return skynet_task(0, leaves); }).result();
  }
  std::int64_t queens(int n) {
    return pool_.submit([this, n] { return queens_task(Board{}, 0, n); }).result();
  }
  void multiply(const Product& whole, std::size_t size) {
    pool_.submit([this, &whole, size] { multiply_task(whole, size); }).result();
  }

 private:
  std::int64_t fib_task(int n) {
    if (n < 2) return n;
    auto first = pool_.submit([this, n] { return fib_task(n - 1); });
    const auto second = fib_task(n - 2);
    return second + std::move(first).result();
  }

  std::int64_t skynet_task(std::int64_t first, std::int64_t leaves) {
    if (leaves == 1) return skynet_leaf(first);
    const auto share = leaves / skynet_children;
    std::vector<Future<std::int64_t>> children;
    children.reserve(skynet_children - 1);
    for (std::int64_t child = 0; child + 1 < skynet_children; ++child) {
      children.push_back(pool_.submit(
          [this, start = first + child * share, share] { return skynet_task(start, share); }));
    }
    auto sum = skynet_task(first + (skynet_children - 1) * share, share);
    for (auto& child : children) sum += std::move(child).result();
    return sum;
  }

  std::int64_t queens_task(const Board& board, int row, int n) {
    if (row == n) return 1;
    std::vector<Future<std::int64_t>> children;
    for (int column = 0; column < n; ++column) {
      if (!safe(board, row, column)) continue;
      children.push_back(pool_.submit([this, next = with_queen(board, row, column), row, n] {
        return queens_task(next, row + 1, n);
      }));
    }
    std::int64_t solutions = 0;
    for (auto& child : children) solutions += std::move(child).result();
    return solutions;
  }

  void multiply_task(const Product& whole, std::size_t size) {
    if (size == matmul_leaf) return multiply_leaf(whole.a, whole.b, whole.c);
    const auto half = size / 2;
    for (std::size_t k = 0; k < 2; ++k) {
      std::vector<Future<void>> children;
      children.reserve(3);
      for (std::size_t i = 0; i < 3; ++i) {
        children.push_back(pool_.submit([this, part = product(whole, half, i / 2, i % 2, k), half] {
          multiply_task(part, half);
        }));
      }
      multiply_task(product(whole, half, 1, 1, k), half);
      // Whichever of them nobody has begun is run here; result() by result() a worker would watch
      // another one run the next in line.
      wait(children);
      for (auto& child : children) child.result();
    }
  }

  ThreadPoolExecutor pool_;
};

[[maybe_unused]] const bool added = add_programs<Programs>("concurrent", bench::Kind::ours);

}  // namespace
