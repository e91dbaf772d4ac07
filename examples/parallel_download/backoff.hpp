// SPDX-License-Identifier: MIT
#pragma once

// How long to wait before another attempt, as urllib3's Retry(backoff_factor, backoff_jitter) does
// for requests.

#include <algorithm>
#include <chrono>
#include <cmath>

namespace parallel_download {

/// Doubles from attempt to attempt up to a limit; half of it is left to chance, so that many who
/// failed together do not come back together.
struct Backoff {
  std::chrono::milliseconds first{500};
  std::chrono::milliseconds longest{30'000};

  /// @param failures how many attempts have failed, 1 or more
  /// @param chance from 0 to 1
  std::chrono::milliseconds delay(int failures, double chance) const {
    const double full = std::min(static_cast<double>(first.count()) * std::exp2(failures - 1),
                                 static_cast<double>(longest.count()));
    return std::chrono::milliseconds(std::llround(full * (1 + chance) / 2));
  }
};

}  // namespace parallel_download
