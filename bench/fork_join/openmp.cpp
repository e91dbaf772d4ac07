// SPDX-License-Identifier: MIT

#include "fork_join/fork_join.hpp"

namespace {

using namespace bench::fork_join;

std::int64_t fib(int n) {
  if (n < 2) return n;
  std::int64_t first = 0;
#pragma omp task default(none) shared(first) firstprivate(n)
  first = fib(n - 1);
  const auto second = fib(n - 2);
#pragma omp taskwait
  return first + second;
}

std::int64_t skynet(std::int64_t first, std::int64_t leaves) {
  if (leaves == 1) return skynet_leaf(first);
  const auto share = leaves / skynet_children;
  std::array<std::int64_t, skynet_children> sums{};
  for (std::size_t child = 0; child + 1 < sums.size(); ++child) {
    const auto start = first + static_cast<std::int64_t>(child) * share;
#pragma omp task default(none) shared(sums) firstprivate(child, start, share)
    sums[child] = skynet(start, share);
  }
  auto sum = skynet(first + (skynet_children - 1) * share, share);
#pragma omp taskwait
  for (const auto part : sums) sum += part;
  return sum;
}

std::int64_t queens(const Board& board, int row, int n) {
  if (row == n) return 1;
  std::array<std::int64_t, max_queens> parts{};
  for (int column = 0; column < n; ++column) {
    if (!safe(board, row, column)) continue;
    const auto next = with_queen(board, row, column);
    auto& part = parts[static_cast<std::size_t>(column)];
#pragma omp task default(none) shared(part) firstprivate(next, row, n)
    part = queens(next, row + 1, n);
  }
#pragma omp taskwait
  std::int64_t solutions = 0;
  for (const auto part : parts) solutions += part;
  return solutions;
}

void multiply(const Product& whole, std::size_t size) {
  if (size == matmul_leaf) return multiply_leaf(whole.a, whole.b, whole.c);
  const auto half = size / 2;
  for (std::size_t k = 0; k < 2; ++k) {
    for (std::size_t i = 0; i < 3; ++i) {
      const auto part = product(whole, half, i / 2, i % 2, k);
#pragma omp task default(none) firstprivate(part, half)
      multiply(part, half);
    }
    multiply(product(whole, half, 1, 1, k), half);
#pragma omp taskwait
  }
}

class Programs {
 public:
  explicit Programs(unsigned workers) : workers_(static_cast<int>(workers)) {}
  std::int64_t fib(int n) {
    return in_team([n] { return ::fib(n); });
  }
  std::int64_t skynet(std::int64_t leaves) {
    return in_team([leaves] { return ::skynet(0, leaves); });
  }
  std::int64_t queens(int n) {
    return in_team([n] { return ::queens(Board{}, 0, n); });
  }
  void multiply(const Product& whole, std::size_t size) {
    in_team([&] {
      ::multiply(whole, size);
      return std::int64_t{0};
    });
  }

 private:
  template <class Body>
  std::int64_t in_team(Body body) {
    std::int64_t result = 0;
    const int workers = workers_;
#pragma omp parallel num_threads(workers) default(none) shared(result, body)
#pragma omp single
    result = body();
    return result;
  }

  int workers_;
};

[[maybe_unused]] const bool added =
    add_programs<Programs>("OpenMP (" OPENMP_RUNTIME ") task", bench::Kind::peer);

}  // namespace
