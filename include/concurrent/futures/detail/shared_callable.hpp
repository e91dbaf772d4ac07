// SPDX-License-Identifier: MIT
#pragma once

// A copyable callable of any type behind one pointer, for options and hooks. std::function would
// do, but <functional> costs a third of the time that the whole thread pool takes to compile.

#include <atomic>
#include <concurrent/detail/standard.hpp>
#include <cstddef>
#include <type_traits>
#include <utility>

namespace concurrent::futures::detail {

template <class Signature>
class SharedCallable;

/// Calls what it was made from; copies share it. Empty when made from nothing.
///
/// **Thread safety** as std::shared_ptr: copies may be used and dropped in different threads.
template <class... Args>
class SharedCallable<void(Args...)> {
 public:
  SharedCallable() = default;
  SharedCallable(std::nullptr_t) {}  // NOLINT(google-explicit-constructor): as std::function

  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, SharedCallable> &&
           std::is_invocable_v<std::decay_t<F>&, Args...>)
      SharedCallable(F&& callable)  // NOLINT(google-explicit-constructor): as std::function
      : callable_(new Model<std::decay_t<F>>(std::forward<F>(callable))) {}

  SharedCallable(const SharedCallable& other) noexcept : callable_(other.callable_) {
    // relaxed: a new owner is made from an existing one
    if (callable_ != nullptr) callable_->owners.fetch_add(1, std::memory_order_relaxed);
  }
  SharedCallable(SharedCallable&& other) noexcept
      : callable_(std::exchange(other.callable_, nullptr)) {}
  SharedCallable& operator=(SharedCallable other) noexcept {
    std::swap(callable_, other.callable_);
    return *this;
  }
  ~SharedCallable() {
    // acq_rel: the last owner sees what the others did
    if (callable_ != nullptr && callable_->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      delete callable_;
    }
  }

  explicit operator bool() const { return callable_ != nullptr; }
  void operator()(Args... args) const { callable_->call(std::forward<Args>(args)...); }

 private:
  struct Concept {
    Concept() = default;
    Concept(const Concept&) = delete;
    Concept& operator=(const Concept&) = delete;
    virtual ~Concept() = default;
    virtual void call(Args... args) = 0;
    std::atomic<std::size_t> owners{1};
  };

  template <class F>
  struct Model final : Concept {
    template <class U>
    explicit Model(U&& callable) : callable_(std::forward<U>(callable)) {}
    void call(Args... args) override { callable_(std::forward<Args>(args)...); }
    F callable_;
  };

  Concept* callable_ = nullptr;
};

}  // namespace concurrent::futures::detail
