// SPDX-License-Identifier: MIT
#pragma once

// Future<T>: the outcome of a task that runs elsewhere. Counterpart: concurrent.futures.Future.

#include <concurrent/detail/standard.hpp>
#include <concurrent/futures/detail/helper.hpp>
#include <concurrent/futures/detail/state.hpp>
#include <concurrent/futures/errors.hpp>
#include <concurrent/futures/timeout.hpp>
#include <concurrent/futures/unraisable.hpp>
#include <cstddef>
#include <exception>
#include <tuple>
#include <type_traits>
#include <utility>

namespace concurrent::futures {

template <class T>
class Future;

namespace detail {

struct FutureAccess;

template <class T>
inline constexpr bool is_future = false;
template <class T>
inline constexpr bool is_future<Future<T>> = true;

/// How a value of type T is lent: `const T&`, but a reference as it is, and void as void.
template <class T>
struct Lend {
  using type = const T&;
};
template <class T>
struct Lend<T&> {
  using type = T&;
};
template <>
struct Lend<void> {
  using type = void;
};
template <class T>
using lent_t = typename Lend<T>::type;

// What does not depend on a future's type, so that it is compiled once.

[[noreturn, gnu::cold]] inline void throw_moved_from() {
  throw InvalidStateError("this future was moved from");
}

/// Waits until the state is done, with a value or an error.
/// @throws TimeoutError, CancelledError
[[gnu::noinline]] inline Phase wait_for_outcome(StateBase& state, Timeout timeout) {
  if (!state.done() && !wait_for(state, timeout.deadline())) {
    throw TimeoutError("the future was not done in time");
  }
  const Phase phase = state.phase();
  if (phase == Phase::cancelled) throw CancelledError();
  return phase;
}

}  // namespace detail

/// The outcome of a task: pending, running, or done with a value, an exception or a cancellation.
///
/// A handle, as cheap as a pointer. Copies speak of the same outcome. T may be void, a reference,
/// or move-only. Dropping a handle neither cancels nor waits.
///
/// **Thread safety** Any number of threads may use handles of the same outcome at the same time,
/// also to complete and to cancel it. One handle object is like an int: assigning it while another
/// thread uses it is a race.
/// **Memory order** What a task did happens before every return of `result`, `exception`, `done()
/// == true` and before its callbacks.
/// **Python** concurrent.futures.Future. Added: `then`, `request_stop`, and the two ways to take a
/// value (lent by an lvalue, given away by an rvalue). When the last handle of a future without an
/// executor is dropped before it was completed, what hangs on it sees a cancellation.
/// **Example** `int answer = executor.submit(compute, 6, 7).result();`
template <class T>
class [[nodiscard(
    "a dropped future still runs; use post() for tasks whose outcome is not needed")]] Future {
 public:
  using value_type = T;

  /// A pending future with no executor, to be completed by `set_result` or `set_exception`.
  Future() : state_(new detail::State<T>) {}

  /// Cancels if not yet running. True when it is cancelled (now or before): it will never run.
  /// Callbacks run in this thread. **Blocking** only while another thread is just cancelling it.
  bool cancel() { return state().cancel(); }
  /// Cancels even if running, where that can be: a worker of a process pool is killed, with all
  /// that the task has started, and replaced. True when it is cancelled; false when it is done
  /// otherwise or runs in a thread, which nobody can end (see request_stop).
  /// Callbacks run in this thread. **Blocking** as cancel().
  bool cancel_running() { return state().cancel() || state().end_running(); }
  [[nodiscard]] bool cancelled() const { return state().phase() == detail::Phase::cancelled; }
  [[nodiscard]] bool running() const;
  [[nodiscard]] bool done() const { return state().done(); }

  /// Waits, then lends the value, which lives as long as any handle of this future.
  /// @throws what the task threw (the same object each time); CancelledError; TimeoutError when the
  /// time is over, which leaves the task as it is; std::invalid_argument for a NaN.
  /// **Blocking** until the future is done, however that comes about, or until the timeout. In a
  /// worker of the pool that is to run the task, the task is run right here if no worker has begun
  /// it; the timeout does not interrupt it then.
  /// **Python** Future.result(timeout)
  detail::lent_t<T> result(Timeout timeout = {}) const&;
  /// The same, but gives the value away: it is moved out. Other handles see what a move leaves.
  T result(Timeout timeout = {})&&;

  /// Waits, then gives the exception; null when the task succeeded.
  /// @throws CancelledError, TimeoutError. **Blocking** as result().
  [[nodiscard]] std::exception_ptr exception(Timeout timeout = {}) const;

  /// Calls `callback(Future<T>)` once the future is done: in the thread that completes or cancels
  /// it, or right here if it is done already. Callbacks run in the order they were added. What one
  /// throws goes to the unraisable hook, and the next one runs.
  template <class F>
  void add_done_callback(F && callback) const;

  /// A future of `continuation(value)`, which runs where a callback would. An exception or a
  /// cancellation passes through without calling it. A chain of any length needs constant stack.
  /// Called on an rvalue, it moves the value into the continuation; else the value is lent.
  template <class F>
  auto then(F && continuation) const& {
    return chain<detail::lent_t<T>>(std::forward<F>(continuation));
  }
  template <class F>
  auto then(F && continuation)&& {
    return chain<T>(std::forward<F>(continuation));
  }

  /// Asks a task that takes a std::stop_token to stop. False where the task takes none.
  /// It decides itself what to do; a pending one starts with the stop already requested.
  bool request_stop() { return state().request_stop(); }

  /// For executors, before the task is run: true makes it running; false: it was cancelled, and the
  /// task is to be dropped. @throws InvalidStateError when it is running or finished.
  bool set_running_or_notify_cancel();
  /// For executors and tests: completes the future.
  /// @throws InvalidStateError when it is done or when a worker of a pool is running it; what a
  /// constructor of T throws, which leaves the future as it was.
  template <class... U>
  requires std::is_constructible_v<typename detail::State<T>::Stored, U...> ||
      (std::is_reference_v<T> && sizeof...(U) == 1) void
      set_result(U && ... value);
  void set_exception(std::exception_ptr error);

  /// Whether two handles speak of the same outcome.
  friend bool operator==(const Future& left, const Future& right) {
    return left.state_.get() == right.state_.get();
  }

 private:
  friend struct detail::FutureAccess;
  using StateRef = detail::StateRef<detail::State<T>>;

  explicit Future(StateRef state) noexcept : state_(std::move(state)) {}

  detail::State<T>& state() const {
    if (!state_) detail::throw_moved_from();
    return *state_.get();
  }
  detail::State<T>& wait_for_value(Timeout timeout) const;
  detail::Phase begin_setting() const;
  template <class Given, class F>
  auto chain(F && continuation) const;

  StateRef state_;
};

namespace detail {

/// For the library: from states to handles and back.
struct FutureAccess {
  template <class T>
  static Future<T> adopt(State<T>* state) noexcept {
    return Future<T>(StateRef<State<T>>(state));
  }
  template <class T>
  static Future<T> share(State<T>& state) noexcept {
    return Future<T>(StateRef<State<T>>::share(&state));
  }
  template <class T>
  static State<T>& state(const Future<T>& future) {
    return future.state();
  }
  template <class T>
  static State<T>* detach(Future<T>&& future) noexcept {
    return future.state_.detach();
  }
  template <class T>
  static State<T>* peek(const Future<T>& future) noexcept {
    return future.state_.get();
  }
};

/// A done-callback on its way.
template <class T, class F>
class Callback final : public Continuation {
 public:
  template <class U>
  explicit Callback(U&& callback) : callback_(std::forward<U>(callback)) {}

  void fire(StateBase& source) noexcept override {
    try {
      callback_(FutureAccess::share(static_cast<State<T>&>(source)));
    } catch (...) {
      report_unraisable(std::current_exception(), "a done-callback of a future");
    }
    delete this;
  }

 private:
  F callback_;
};

/// The state of `source.then(F)`, which hangs on its source as a continuation itself.
template <class R, class T, class Given, class F>
class ThenState final : public State<R>, private Continuation {
 public:
  template <class U>
  explicit ThenState(U&& continuation) : State<R>(2) {
    std::construct_at(&continuation_.callable, std::forward<U>(continuation));
  }

  /// Takes over one of the two references.
  void hang_on(State<T>& source) noexcept {
    waits_for_ = &source;
    if (source.add(*this)) return;
    fire(source);
  }

  Phase execute() noexcept override { return this->phase(); }
  void discard() noexcept override { destroy_callable(); }

  using State<R>::acquire_dependency;
  StateBase* acquire_dependency(std::size_t& from) noexcept override {
    if (from++ != 0) return nullptr;
    const std::scoped_lock lock(striped_mutex(this));
    // One that is done is just firing this, in another thread: there is nothing to be done for it.
    if (waits_for_ == nullptr || waits_for_->done()) return nullptr;
    return waits_for_->try_add_reference() ? waits_for_ : nullptr;
  }

 private:
  void fire(StateBase& base) noexcept override {
    {
      // The source may go after this call, so nobody may find it here any more.
      const std::scoped_lock lock(striped_mutex(this));
      waits_for_ = nullptr;
    }
    if (this->claim(Phase::executing)) {
      const Phase outcome = run(static_cast<State<T>&>(base));
      destroy_callable();
      this->publish_in_turn(outcome);
    }
    this->release();
  }

  Phase run(State<T>& source) noexcept {
    switch (source.phase()) {
      case Phase::cancelled:
        return Phase::cancelled;
      case Phase::error:
        this->store_error(source.error());
        return Phase::error;
      default:
        break;
    }
    try {
      if constexpr (std::is_void_v<R>) {
        call(source);
        this->store_value();
      } else {
        this->store_value(call(source));
      }
      return Phase::value;
    } catch (...) {
      this->store_error(std::current_exception());
      return Phase::error;
    }
  }

  decltype(auto) call(State<T>& source) {
    if constexpr (std::is_void_v<T>) {
      return std::apply(std::move(continuation_.callable), std::tuple<>());
    } else if constexpr (std::is_reference_v<T>) {
      return std::apply(std::move(continuation_.callable), std::tie(*source.value()));
    } else {
      return std::apply(std::move(continuation_.callable),
                        std::forward_as_tuple(static_cast<Given&&>(source.value())));
    }
  }

  void destroy_callable() noexcept {
    try {
      std::destroy_at(&continuation_.callable);
    } catch (...) {
      report_unraisable(std::current_exception(), "the destructor of a continuation");
    }
  }

  union Slot {
    Slot() noexcept {}         // NOLINT(modernize-use-equals-default)
    ~Slot() noexcept(true) {}  // NOLINT(modernize-use-equals-default)
    F callable;
  } continuation_;
  StateBase* waits_for_ = nullptr;  // guarded by the stripe of this; null once fired
};

template <class Given, class F>
struct ThenResult {
  using type = std::invoke_result_t<F, Given>;
};
template <class F>
struct ThenResult<void, F> {
  using type = std::invoke_result_t<F>;
};

template <class Given, class F>
inline constexpr bool callable_with_value = std::is_invocable_v<F, Given>;
template <class F>
inline constexpr bool callable_with_value<void, F> = std::is_invocable_v<F>;

/// What a future of a call's result holds: an rvalue reference becomes a value.
template <class R>
using result_t =
    std::conditional_t<std::is_rvalue_reference_v<R>, std::remove_cvref_t<R>,
                       std::conditional_t<std::is_reference_v<R>, R, std::remove_cv_t<R>>>;

}  // namespace detail

// Implementation

template <class T>
bool Future<T>::running() const {
  const detail::Phase phase = state().phase();
  return phase != detail::Phase::pending && phase != detail::Phase::handed &&
         phase != detail::Phase::cancelling && !detail::is_done(phase);
}

template <class T>
detail::State<T>& Future<T>::wait_for_value(Timeout timeout) const {
  detail::State<T>& state = this->state();
  if (state.phase() == detail::Phase::value) return state;
  if (detail::wait_for_outcome(state, timeout) == detail::Phase::error) {
    std::rethrow_exception(state.error());
  }
  return state;
}

template <class T>
detail::lent_t<T> Future<T>::result(Timeout timeout) const& {
  detail::State<T>& state = wait_for_value(timeout);
  if constexpr (std::is_void_v<T>) {
    static_cast<void>(state);
  } else if constexpr (std::is_reference_v<T>) {
    return *state.value();
  } else {
    return state.value();
  }
}

template <class T>
T Future<T>::result(Timeout timeout) && {
  detail::State<T>& state = wait_for_value(timeout);
  if constexpr (std::is_void_v<T>) {
    static_cast<void>(state);
  } else if constexpr (std::is_reference_v<T>) {
    return *state.value();
  } else {
    return std::move(state.value());
  }
}

template <class T>
std::exception_ptr Future<T>::exception(Timeout timeout) const {
  detail::State<T>& state = this->state();
  if (detail::wait_for_outcome(state, timeout) == detail::Phase::error) return state.error();
  return nullptr;
}

template <class T>
template <class F>
void Future<T>::add_done_callback(F&& callback) const {
  using Function = std::decay_t<F>;
  static_assert(std::is_invocable_v<Function&, Future<T>>,
                "a done-callback is called with the future itself: callback(Future<T>)");
  detail::State<T>& state = this->state();
  auto* const node = new detail::Callback<T, Function>(std::forward<F>(callback));
  if (!state.add(*node)) node->fire(state);
}

template <class T>
template <class Given, class F>
auto Future<T>::chain(F&& continuation) const {
  using Function = std::decay_t<F>;
  static_assert(detail::callable_with_value<Given, Function>,
                "a continuation is called with the future's value, or with nothing for void");
  if constexpr (detail::callable_with_value<Given, Function>) {
    using R = detail::result_t<typename detail::ThenResult<Given, Function>::type>;
    detail::State<T>& source = this->state();
    auto* const next = new detail::ThenState<R, T, Given, Function>(std::forward<F>(continuation));
    Future<R> future = detail::FutureAccess::adopt<R>(next);
    next->hang_on(source);
    return future;
  } else {
    return Future<void>();
  }
}

template <class T>
bool Future<T>::set_running_or_notify_cancel() {
  detail::State<T>& state = this->state();
  if (state.claim(detail::Phase::running)) return true;
  const detail::Phase phase = state.phase();
  if (phase == detail::Phase::cancelling || phase == detail::Phase::cancelled) return false;
  throw InvalidStateError("the future is running or finished already");
}

/// Takes the right to complete the future; gives the phase to return to if that fails.
template <class T>
detail::Phase Future<T>::begin_setting() const {
  using detail::Phase;
  detail::State<T>& state = this->state();
  for (;;) {
    if (state.move(Phase::running, Phase::setting)) return Phase::running;
    if (state.move(Phase::pending, Phase::setting)) return Phase::pending;
    if (state.move(Phase::handed, Phase::setting)) return Phase::handed;
    switch (state.phase()) {
      case Phase::pending:
      case Phase::handed:
      case Phase::running:
        continue;
      case Phase::executing:
        throw InvalidStateError("the future belongs to a task that a pool is running");
      case Phase::setting:
        throw InvalidStateError("another thread is just completing the future");
      case Phase::cancelling:
      case Phase::cancelled:
        throw InvalidStateError("the future was cancelled");
      default:
        throw InvalidStateError("the future is finished already");
    }
  }
}

template <class T>
template <class... U>
requires std::is_constructible_v<typename detail::State<T>::Stored, U...> ||
    (std::is_reference_v<T> && sizeof...(U) == 1) void Future<T>::set_result(U&&... value) {
  const detail::Phase before = begin_setting();
  try {
    state_->store_value(std::forward<U>(value)...);
  } catch (...) {
    state_->restore(before);
    throw;
  }
  const StateRef alive = state_;  // a callback may destroy *this
  if (before == detail::Phase::pending) alive->discard();
  alive->publish(detail::Phase::value);
}

template <class T>
void Future<T>::set_exception(std::exception_ptr error) {
  const detail::Phase before = begin_setting();
  state_->store_error(std::move(error));
  const StateRef alive = state_;
  if (before == detail::Phase::pending) alive->discard();
  alive->publish(detail::Phase::error);
}

}  // namespace concurrent::futures

/// Futures are keys of unordered containers by identity, as in Python:
/// `std::unordered_map<Future<Page>, std::string> url_of;`
template <class T>
struct std::hash<concurrent::futures::Future<T>> {
  std::size_t operator()(const concurrent::futures::Future<T>& future) const noexcept {
    return std::hash<const void*>{}(concurrent::futures::detail::FutureAccess::peek(future));
  }
};
