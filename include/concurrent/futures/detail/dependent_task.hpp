// SPDX-License-Identifier: MIT
#pragma once

// A task whose arguments are futures: it is queued when they are done, and no worker waits for
// them.

#include <atomic>
#include <concurrent/futures/detail/call.hpp>
#include <concurrent/futures/detail/state.hpp>
#include <concurrent/futures/detail/task.hpp>
#include <concurrent/futures/detail/thread_pool_core.hpp>
#include <concurrent/futures/future.hpp>
#include <cstddef>
#include <exception>
#include <mutex>
#include <tuple>
#include <type_traits>
#include <utility>

namespace concurrent::futures::detail {

/// Protocol   `missing_` counts the futures that are not done, plus one for start().
///            arrive  R1 fetch_sub: whoever takes it to zero queues the task
///            leave   R2 exchange in_room_ -> false: once, on the way to the queue or to the end
/// Pairings   R1 is acq_rel, so that the one that queues saw every future done.
/// Lifetime   references: the handle's, and one for each future it waits for; the queue's is made
/// by
///            the one that queues.
template <bool Stoppable, class R, class F, class... Args>
class DependentTask : public State<R>, private WaitingTask {
  static constexpr std::size_t futures = (std::size_t{is_future<std::decay_t<Args>>} + ...);
  using Call = PackedCall<F, std::decay_t<Args>...>;

 public:
  template <class G, class... Given>
  explicit DependentTask(G&& fn, Given&&... args)
      : State<R>(1 + futures), args_(std::forward<Given>(args)...), fn_(std::forward<G>(fn)) {}

  /// @throws what the pool throws when it takes no task, InvalidStateError for a future that was
  /// moved from; the task is destroyed by the caller then.
  void start(ThreadPoolCore& room) {
    std::apply([](const auto&... args) { (check(args), ...); }, args_.value());
    room_ = &room;
    room.enter(*this);  // from here on, a shutdown may cancel it
    room.keep_alive();
    in_room_.store(true, std::memory_order_release);  // pairs with R2, for the reference
    std::size_t node = 0;
    std::apply([&](auto&... args) { (hang_on(args, node), ...); }, args_.value());
    arrive();
  }

  Phase execute() noexcept override {
    Phase outcome = inherited_failure();
    if (outcome != Phase::pending) {
      drop_call();
      return outcome;
    }
    outcome = store_outcome_of(*this, [this]() -> decltype(auto) {
      auto values = std::apply(
          [](auto&... args) { return std::tuple_cat(value_of<Args>(args)...); }, args_.value());
      if constexpr (Stoppable) {
        return std::apply(std::move(fn_.value()),
                          std::tuple_cat(std::tuple(stop_.get_token()), std::move(values)));
      } else {
        return std::apply(std::move(fn_.value()), std::move(values));
      }
    });
    drop_call();
    return outcome;
  }
  void discard() noexcept override {
    drop_call();
    leave_room();
  }
  bool request_stop() noexcept override {
    if constexpr (Stoppable) {
      return !this->done() && (stop_.request_stop() || stop_.stop_requested());
    } else {
      return false;
    }
  }
  using State<R>::acquire_dependency;
  StateBase* acquire_dependency(std::size_t& from) noexcept override {
    const std::scoped_lock lock(striped_mutex(this));
    if (dropped_) return nullptr;
    StateBase* found = nullptr;
    std::size_t place = 0;
    const auto look = [&found, &place, &from](auto& arg) {
      if constexpr (is_future<std::decay_t<decltype(arg)>>) {
        StateBase* const state = FutureAccess::peek(arg);
        const std::size_t here = place++;
        if (found != nullptr || here < from || state->done() || !state->try_add_reference()) return;
        found = state;
        from = here + 1;
      }
    };
    std::apply([&look](auto&... args) { (look(args), ...); }, args_.value());
    return found;
  }

 private:
  class Node final : public Continuation {
   public:
    void fire(StateBase& source) noexcept override { task->arrive_from(source); }
    DependentTask* task = nullptr;
  };

  /// A member that is destroyed early.
  template <class T>
  class Slot {
   public:
    template <class... Given>
    explicit Slot(Given&&... given) {
      std::construct_at(&storage_.value, std::forward<Given>(given)...);
    }
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    ~Slot() = default;
    T& value() noexcept { return storage_.value; }
    void destroy() noexcept {
      try {
        std::destroy_at(&storage_.value);
      } catch (...) {
        report_unraisable(std::current_exception(), "the destructor of a task");
      }
    }

   private:
    union Storage {
      Storage() noexcept {}         // NOLINT(modernize-use-equals-default)
      ~Storage() noexcept(true) {}  // NOLINT(modernize-use-equals-default)
      T value;
    } storage_;
  };

  template <class Arg>
  static typename Unwrapped<Arg>::type value_of(std::decay_t<Arg>& arg) {
    using Decayed = std::decay_t<Arg>;
    using Result = typename Unwrapped<Arg>::type;
    if constexpr (std::is_same_v<Decayed, Future<void>>) {
      return {};
    } else if constexpr (is_future<Decayed>) {
      auto& state = FutureAccess::state(arg);
      if constexpr (std::is_reference_v<typename Decayed::value_type>) {
        return Result(*state.value());
      } else {
        return Result(static_cast<std::tuple_element_t<0, Result>>(state.value()));
      }
    } else {
      return Result(std::move(arg));
    }
  }

  StateBase& as_state() noexcept override { return *this; }

  template <class Arg>
  static void check(const Arg& arg) {
    if constexpr (is_future<Arg>) static_cast<void>(FutureAccess::state(arg));
  }

  template <class Arg>
  void hang_on(Arg& arg, std::size_t& node) noexcept {
    if constexpr (is_future<Arg>) {
      Node& mine = nodes_[node++];
      mine.task = this;
      // The arguments may be dropped (by a cancellation) while this is still hanging on the rest.
      StateBase* source = nullptr;
      {
        const std::scoped_lock lock(striped_mutex(this));
        if (!dropped_ && FutureAccess::peek(arg)->try_add_reference()) {
          source = FutureAccess::peek(arg);
        }
      }
      if (source == nullptr) {
        arrive();
        this->release();
        return;
      }
      if (!source->add(mine)) arrive_from(*source);
      source->release();
    }
  }

  void arrive_from(StateBase& source) noexcept {
    if (source.phase() != Phase::value && this->claim(Phase::setting)) {
      const Phase outcome = inherited_failure();
      discard();
      this->publish_in_turn(outcome);
    }
    arrive();
    this->release();
  }

  /// Stores the exception or the cancellation of the first argument that has one; `pending` when
  /// there is none. Called by who claimed the task.
  Phase inherited_failure() noexcept {
    Phase found = Phase::pending;
    std::exception_ptr error;
    const auto look = [&](auto& arg) {
      if constexpr (is_future<std::decay_t<decltype(arg)>>) {
        auto& state = *FutureAccess::peek(arg);
        const Phase phase = state.phase();
        if (found != Phase::pending || (phase != Phase::error && phase != Phase::cancelled)) return;
        found = phase;
        if (phase == Phase::error) error = state.error();
      }
    };
    std::apply([&look](auto&... args) { (look(args), ...); }, args_.value());
    if (found == Phase::error) this->store_error(error);
    return found;
  }

  void arrive() noexcept {
    // R1 acq_rel: see above
    if (missing_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (!this->done()) {
      this->add_reference();
      room_->enqueue(*this);
    }
    leave_room();
  }

  void leave_room() noexcept {
    // R2 acquire: pairs with start; the list itself is guarded by the pool's mutex
    if (!in_room_.exchange(false, std::memory_order_acquire)) return;
    room_->leave(*this);
    room_->release();
  }

  void drop_call() noexcept {
    {
      const std::scoped_lock lock(striped_mutex(this));
      dropped_ = true;
    }
    fn_.destroy();
    args_.destroy();
  }

  ThreadPoolCore* room_ = nullptr;
  std::atomic<std::size_t> missing_{futures + 1};
  std::atomic<bool> in_room_{false};
  bool dropped_ = false;  // guarded by the stripe of this
  Node nodes_[futures];
  std::conditional_t<Stoppable, StopSource, Nothing> stop_;
  Slot<std::tuple<std::decay_t<Args>...>> args_;
  Slot<F> fn_;
};

}  // namespace concurrent::futures::detail
