// SPDX-License-Identifier: MIT
#pragma once

// T5: recursion where every call is a task, on one worker and on all: fib(30), skynet with
// 1,000,000 leaves, the queens of a board of 12, the product of two 1024 x 1024 matrices. A
// contestant writes the four recursions in its own way; the last child of each node runs in place
// for all of them.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "support/bench.hpp"

namespace bench::fork_join {

inline int fib_argument() { return config().quick ? 25 : 30; }

/// Calls of fib that fork, so that the row is in nanoseconds a fork.
inline std::int64_t fib_value(int n) {
  std::int64_t a = 0;
  std::int64_t b = 1;
  for (int i = 0; i < n; ++i) a = std::exchange(b, a + b);
  return a;
}
inline double fib_forks(int n) { return static_cast<double>(fib_value(n + 1) - 1); }

inline constexpr std::int64_t skynet_children = 10;
inline std::int64_t skynet_leaves() { return config().quick ? 100'000 : 1'000'000; }

/// What a leaf of skynet gives; a compiler that saw through it would compute the sum by a formula.
inline std::int64_t skynet_leaf(std::int64_t number) {
  benchmark::DoNotOptimize(number);
  return number;
}

inline constexpr int max_queens = 12;
inline int queens() { return config().quick ? 9 : max_queens; }
using Board = std::array<std::int8_t, max_queens>;

/// The known numbers of solutions.
inline std::int64_t queens_solutions(int n) { return n == 9 ? 352 : 14'200; }

/// Whether a queen in `column` of row `row` is attacked by none in the rows above.
inline bool safe(const Board& board, int row, int column) {
  for (int above = 0; above < row; ++above) {
    const int other = board[static_cast<std::size_t>(above)];
    if (other == column || std::abs(other - column) == row - above) return false;
  }
  return true;
}

inline Board with_queen(Board board, int row, int column) {
  board[static_cast<std::size_t>(row)] = static_cast<std::int8_t>(column);
  return board;
}

/// A square part of a matrix of `stride` columns.
template <class Element>
struct Block {
  Element* data;
  std::size_t stride;

  [[nodiscard]] Block quarter(std::size_t row, std::size_t column, std::size_t half) const {
    return {data + row * half * stride + column * half, stride};
  }
};
using Input = Block<const std::uint32_t>;
using Output = Block<std::uint32_t>;

inline constexpr std::size_t matmul_leaf = 32;

/// c += a * b for blocks of matmul_leaf.
inline void multiply_leaf(Input a, Input b, Output c) {
  for (std::size_t i = 0; i < matmul_leaf; ++i) {
    for (std::size_t k = 0; k < matmul_leaf; ++k) {
      const auto factor = a.data[i * a.stride + k];
      for (std::size_t j = 0; j < matmul_leaf; ++j) {
        c.data[i * c.stride + j] += factor * b.data[k * b.stride + j];
      }
    }
  }
}

/// The operands of one of the eight products of halves: c[row][column] += a[row][k] * b[k][column].
struct Product {
  Input a;
  Input b;
  Output c;
};
inline Product product(const Product& whole, std::size_t half, std::size_t row, std::size_t column,
                       std::size_t k) {
  return {whole.a.quarter(row, k, half), whole.b.quarter(k, column, half),
          whole.c.quarter(row, column, half)};
}

/// Two matrices, their product, and a check that is exact modulo 2^32 and costs n^2.
class Matrices {
 public:
  explicit Matrices(std::size_t size) : size_(size), a_(size * size), b_(a_), c_(a_) {
    std::uint32_t random = 1;
    for (auto* matrix : {&a_, &b_}) {
      for (auto& element : *matrix) element = (random = random * 1664525U + 1013904223U) >> 16U;
    }
  }

  Product whole() {
    std::ranges::fill(c_, 0U);
    return {{a_.data(), size_}, {b_.data(), size_}, {c_.data(), size_}};
  }
  [[nodiscard]] std::size_t size() const { return size_; }

  /// Freivalds: c * x == a * (b * x) for a vector x.
  [[nodiscard]] bool right() const {
    std::vector<std::uint32_t> x(size_);
    for (std::size_t i = 0; i < size_; ++i) x[i] = static_cast<std::uint32_t>(i * i * 2654435761U);
    return times(c_, x) == times(a_, times(b_, x));
  }

 private:
  [[nodiscard]] std::vector<std::uint32_t> times(const std::vector<std::uint32_t>& matrix,
                                                 const std::vector<std::uint32_t>& x) const {
    std::vector<std::uint32_t> y(size_);
    for (std::size_t i = 0; i < size_; ++i) {
      for (std::size_t j = 0; j < size_; ++j) y[i] += matrix[i * size_ + j] * x[j];
    }
    return y;
  }

  std::size_t size_;
  std::vector<std::uint32_t> a_, b_, c_;
};

/// Registers the four programs of `Programs` under "T5/..." for one worker and for all. Programs is
/// made for a number of workers and has fib(n), skynet(leaves), queens(n) and multiply(Product,
/// size), each of which runs the whole recursion and returns its value.
template <class Programs>
bool add_programs(const char* contestant, Kind kind) {
  for (const bool single : {true, false}) {
    const auto row = [single](const char* program) {
      return std::string("T5/") + program + (single ? "_1_worker" : "_all_workers");
    };
    const auto workers = [single] { return single ? 1U : config().workers; };
    add(row("fib").c_str(), contestant, kind, [workers](benchmark::State& state) {
      Programs programs(workers());
      const int n = fib_argument();
      report_time(state, "ns/fork", fib_forks(n), nanoseconds,
                  [&] { require(programs.fib(n) == fib_value(n), "fib"); });
    });
    add(row("skynet").c_str(), contestant, kind, [workers](benchmark::State& state) {
      Programs programs(workers());
      const auto leaves = skynet_leaves();
      report_time(state, "ms", 1, milliseconds, [&] {
        require(programs.skynet(leaves) == leaves * (leaves - 1) / 2, "the sum of skynet");
      });
    });
    add(row("queens").c_str(), contestant, kind, [workers](benchmark::State& state) {
      Programs programs(workers());
      report_time(state, "ms", 1, milliseconds, [&] {
        require(programs.queens(queens()) == queens_solutions(queens()), "the number of solutions");
      });
    });
    add(row("matmul").c_str(), contestant, kind, [workers](benchmark::State& state) {
      Programs programs(workers());
      Matrices matrices(config().quick ? 512 : 1024);
      report_time(state, "ms", 1, milliseconds,
                  [&] { programs.multiply(matrices.whole(), matrices.size()); });
      require(matrices.right(), "the product of the matrices");
    });
  }
  return true;
}

}  // namespace bench::fork_join
