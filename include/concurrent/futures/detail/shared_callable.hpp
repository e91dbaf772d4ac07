// SPDX-License-Identifier: MIT
#pragma once

// A copyable callable of any type behind one pointer, for options and hooks. std::function would
// do, but <functional> costs a third of the time that the whole thread pool takes to compile.

#include <memory>
#include <type_traits>
#include <utility>

namespace concurrent::futures::detail {

template <class Signature>
class SharedCallable;

/// Calls what it was made from; copies share it. Empty when made from nothing.
template <class... Args>
class SharedCallable<void(Args...)> {
 public:
  SharedCallable() = default;
  SharedCallable(std::nullptr_t) {}  // NOLINT(google-explicit-constructor): as std::function

  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, SharedCallable> &&
           std::is_invocable_v<std::decay_t<F>&, Args...>)
      SharedCallable(F&& callable)  // NOLINT(google-explicit-constructor): as std::function
      : callable_(std::make_shared<Model<std::decay_t<F>>>(std::forward<F>(callable))) {}

  explicit operator bool() const { return callable_ != nullptr; }
  void operator()(Args... args) const { callable_->call(std::forward<Args>(args)...); }

 private:
  struct Concept {
    Concept() = default;
    Concept(const Concept&) = delete;
    Concept& operator=(const Concept&) = delete;
    virtual ~Concept() = default;
    virtual void call(Args... args) = 0;
  };

  template <class F>
  struct Model final : Concept {
    template <class U>
    explicit Model(U&& callable) : callable_(std::forward<U>(callable)) {}
    void call(Args... args) override { callable_(std::forward<Args>(args)...); }
    F callable_;
  };

  std::shared_ptr<Concept> callable_;
};

}  // namespace concurrent::futures::detail
