// SPDX-License-Identifier: MIT
#pragma once

// What tests of futures and of executors of every kind share.

#include <concurrent/futures/future.hpp>
#include <cstddef>
#include <numeric>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

namespace futures_test {

template <class E>
E make_executor() {
  if constexpr (std::is_constructible_v<E, std::size_t>) {
    return E(std::size_t{2});
  } else {
    return E();
  }
}

inline int throw_on_odd(int value) {
  if (value % 2 != 0) throw std::runtime_error("odd: " + std::to_string(value));
  return value;
}

inline std::vector<int> first_numbers(int count) {
  std::vector<int> numbers(static_cast<std::size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

inline concurrent::futures::Future<int> succeeded(int value) {
  concurrent::futures::Future<int> future;
  future.set_result(value);
  return future;
}

}  // namespace futures_test
