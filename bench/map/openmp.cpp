// SPDX-License-Identifier: MIT

#include "map/map.hpp"

namespace {

template <class Function>
void transform(Function function, const float* in, float* out, std::size_t size) {
  const int workers = static_cast<int>(bench::config().workers);
#pragma omp parallel for num_threads(workers) default(none) shared(function, in, out, size)
  for (std::size_t i = 0; i < size; ++i) out[i] = function(in[i]);
}

[[maybe_unused]] const bool added = bench::map::add_map(
    "OpenMP (" OPENMP_RUNTIME ") parallel for", bench::Kind::peer, [](auto&& body) { body(); },
    [](auto function, const float* in, float* out, std::size_t size) {
      transform(function, in, out, size);
    });

}  // namespace
