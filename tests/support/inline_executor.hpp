// SPDX-License-Identifier: MIT
#pragma once

// The smallest executor that a user can write: it runs everything at once, in the caller's thread.

#include <concurrent/futures/executor.hpp>
#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

namespace support {

class InlineExecutor : public concurrent::futures::ExecutorInterface<InlineExecutor> {
 public:
  template <class F, class... Args>
  auto submit(F&& fn, Args&&... args) {
    if (closed_) throw concurrent::futures::ShutdownError();
    using R = std::invoke_result_t<std::decay_t<F>, std::decay_t<Args>...>;
    concurrent::futures::Future<R> future;
    try {
      if constexpr (std::is_void_v<R>) {
        std::invoke(std::forward<F>(fn), std::forward<Args>(args)...);
        future.set_result();
      } else {
        future.set_result(std::invoke(std::forward<F>(fn), std::forward<Args>(args)...));
      }
    } catch (...) {
      future.set_exception(std::current_exception());
    }
    return future;
  }

  void shutdown(bool /*wait*/ = true, bool /*cancel_futures*/ = false) { closed_ = true; }

 private:
  bool closed_ = false;
};

}  // namespace support
