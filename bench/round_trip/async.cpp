// SPDX-License-Identifier: MIT

#include <future>

#include "round_trip/round_trip.hpp"

namespace {

struct Async {
  std::size_t operator()(std::size_t number) {
    return std::async(std::launch::async, [number] { return number; }).get();
  }
};

[[maybe_unused]] const bool added = bench::add_round_trip("std::async", bench::Kind::peer,
                                                          [] { return std::make_unique<Async>(); });

}  // namespace
