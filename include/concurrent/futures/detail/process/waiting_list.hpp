// SPDX-License-Identifier: MIT
#pragma once

// The calls whose arguments are futures that are not done. No worker waits for them.

#include <algorithm>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

namespace concurrent::futures::detail::process {

/// One such call, as the engine sees it.
class WaitingCall {
 public:
  WaitingCall() = default;
  WaitingCall(const WaitingCall&) = delete;
  WaitingCall& operator=(const WaitingCall&) = delete;
  virtual ~WaitingCall() = default;
  virtual void cancel() noexcept = 0;
  virtual void fail(std::exception_ptr error) noexcept = 0;
};

using WaitingCallPtr = std::shared_ptr<WaitingCall>;

/// **Thread safety** none; guarded by the engine's mutex.
class WaitingList {
 public:
  [[nodiscard]] bool empty() const noexcept { return calls_.empty(); }
  void enter(WaitingCallPtr call) { calls_.push_back(std::move(call)); }
  /// What is removed is returned, since destroying it may run code of the user's.
  WaitingCallPtr leave(const WaitingCall& call) noexcept {
    const auto found = std::find_if(calls_.begin(), calls_.end(),
                                    [&call](const auto& each) { return each.get() == &call; });
    if (found == calls_.end()) return nullptr;
    std::swap(*found, calls_.back());
    WaitingCallPtr left = std::move(calls_.back());
    calls_.pop_back();
    return left;
  }
  std::vector<WaitingCallPtr> take_all() noexcept { return std::exchange(calls_, {}); }

 private:
  std::vector<WaitingCallPtr> calls_;
};

}  // namespace concurrent::futures::detail::process
