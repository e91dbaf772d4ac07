// SPDX-License-Identifier: MIT
#pragma once

// A task: the state of a future together with the callable and its arguments, in one block.

#include <concurrent/detail/standard.hpp>
#include <concurrent/futures/detail/call.hpp>
#include <concurrent/futures/detail/state.hpp>
#include <concurrent/futures/unraisable.hpp>
#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>

namespace concurrent::futures::detail {

/// A callable with its arguments, destroyed before the state that holds it.
template <class F, class... Args>
class PackedCall {
 public:
  template <class G, class... Given>
  explicit PackedCall(G&& fn, Given&&... args) {
    std::construct_at(&slot_.packed, std::forward<G>(fn), std::forward<Given>(args)...);
  }
  PackedCall(const PackedCall&) = delete;
  PackedCall& operator=(const PackedCall&) = delete;

  template <class... First>
  decltype(auto) run(First&&... first) {
    Packed& packed = slot_.packed;
    if constexpr (sizeof...(First) == 0) {
      return std::apply(std::move(packed.fn), std::move(packed.args));
    } else {
      return std::apply(std::move(packed.fn),
                        std::tuple_cat(std::forward_as_tuple(std::forward<First>(first)...),
                                       std::move(packed.args)));
    }
  }
  void destroy() noexcept {
    try {
      std::destroy_at(&slot_.packed);
    } catch (...) {  // a destructor that throws
      report_unraisable(std::current_exception(), "the destructor of a task");
    }
  }

 private:
  struct Packed {
    template <class G, class... Given>
    explicit Packed(G&& callable, Given&&... given)
        : fn(std::forward<G>(callable)), args(std::forward<Given>(given)...) {}
    [[no_unique_address]] F fn;
    [[no_unique_address]] std::tuple<Args...> args;
  };
  union Slot {
    Slot() noexcept {}         // NOLINT(modernize-use-equals-default)
    ~Slot() noexcept(true) {}  // NOLINT(modernize-use-equals-default)
    Packed packed;
  } slot_;
};

/// Stores what `call` returns, or throws, as the outcome of `state`.
template <class R, class Call>
Phase store_outcome_of(State<R>& state, Call&& call) noexcept {
  try {
    if constexpr (std::is_void_v<R>) {
      call();
      state.store_value();
    } else {
      state.store_value(call());
    }
    return Phase::value;
  } catch (...) {
    state.store_error(std::current_exception());
    return Phase::error;
  }
}

/// Two references: the handle's and the queue's.
template <class R, class F, class... Args>
class Task : public State<R> {
 public:
  template <class G, class... Given>
  explicit Task(G&& fn, Given&&... args)
      : State<R>(2), call_(std::forward<G>(fn), std::forward<Given>(args)...) {}

  Phase execute() noexcept override {
    const Phase outcome =
        store_outcome_of(*this, [this]() -> decltype(auto) { return call_.run(); });
    call_.destroy();
    return outcome;
  }
  void discard() noexcept override { call_.destroy(); }
  [[nodiscard]] bool may_stay() const noexcept override {
    using Result = typename State<R>::Stored;
    return std::is_trivially_destructible_v<Result> && sizeof(Result) <= 64;
  }

 private:
  PackedCall<F, Args...> call_;
};

/// A task whose callable takes a std::stop_token first.
template <class R, class F, class... Args>
class StoppableTask : public State<R> {
 public:
  template <class G, class... Given>
  explicit StoppableTask(G&& fn, Given&&... args)
      : State<R>(2), call_(std::forward<G>(fn), std::forward<Given>(args)...) {}

  Phase execute() noexcept override {
    const Phase outcome = store_outcome_of(
        *this, [this]() -> decltype(auto) { return call_.run(stop_.get_token()); });
    call_.destroy();
    return outcome;
  }
  void discard() noexcept override { call_.destroy(); }
  bool request_stop() noexcept override {
    if (this->done()) return false;
    return stop_.request_stop() || stop_.stop_requested();
  }

 private:
  StopSource stop_;
  PackedCall<F, Args...> call_;
};

/// A task that nobody waits for: one reference, no outcome.
template <class F, class... Args>
class PostedTask final : public StateBase {
 public:
  template <class G, class... Given>
  explicit PostedTask(G&& fn, Given&&... args)
      : StateBase(1, Phase::posted), call_(std::forward<G>(fn), std::forward<Given>(args)...) {}

  Phase execute() noexcept override {
    try {
      static_cast<void>(call_.run());
    } catch (...) {
      report_unraisable(std::current_exception(), "a posted task");
    }
    call_.destroy();
    return Phase::posted;
  }
  void discard() noexcept override { call_.destroy(); }
  void store_error(std::exception_ptr) noexcept override {}

 private:
  PackedCall<F, Args...> call_;
};

}  // namespace concurrent::futures::detail
