// SPDX-License-Identifier: MIT
#pragma once

// A call whose arguments are futures: it is sent when they are done, and no worker waits for them.

#include <atomic>
#include <concurrent/futures/detail/process/engine.hpp>
#include <concurrent/futures/detail/process/pool_task.hpp>
#include <concurrent/futures/detail/process/remote_call.hpp>
#include <concurrent/futures/errors.hpp>
#include <concurrent/futures/future.hpp>
#include <concurrent/futures/task_options.hpp>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace concurrent::futures::detail::process {

/// The values that arguments stand for: a future's value, nothing for Future<void>, else a copy.
template <class Arg>
struct ValueOf {
  using type = std::tuple<Arg>;
};
template <class T>
struct ValueOf<Future<T>> {
  using type = std::tuple<std::decay_t<T>>;
};
template <>
struct ValueOf<Future<void>> {
  using type = std::tuple<>;
};
template <class... Args>
using values_of_t = decltype(std::tuple_cat(std::declval<typename ValueOf<Args>::type>()...));

/// Lifetime   the engine's waiting list keeps it, until the call is on its way or will never be.
/// Protocol   `missing_` counts the futures that are not done, plus one for start(). Whoever takes
///            it to zero (acq_rel, so that it sees all of them done) sends the call.
template <class R, class F, class... Args>  // decayed
class DependentCall final : public WaitingCall,
                            public std::enable_shared_from_this<DependentCall<R, F, Args...>> {
 public:
  template <class G, class... Given>
  DependentCall(std::shared_ptr<Engine> engine, std::unique_ptr<const TaskOptions> options, G&& fn,
                Given&&... args)
      : engine_(std::move(engine)),
        fn_(std::forward<G>(fn)),
        args_(std::forward<Given>(args)...),
        task_(new FutureTask<R>(engine_)),
        future_(FutureAccess::adopt<R>(static_cast<FutureTask<R>*>(task_.get()))) {
    task_->set_options(std::move(options));
  }

  /// @throws what the engine throws when it takes no task.
  Future<R> start() {
    engine_->enter_waiting(this->shared_from_this());
    try {
      future_.add_done_callback([call = this->weak_from_this()](const Future<R>&) {
        if (const auto alive = call.lock()) alive->engine_->leave_waiting(*alive);
      });
      std::apply([this](auto&... args) { (this->hang_on(args), ...); }, args_);
    } catch (...) {
      engine_->leave_waiting(*this);
      throw;
    }
    arrive();
    return future_;
  }

  void cancel() noexcept override { future_.cancel(); }
  void fail(std::exception_ptr error) noexcept override {
    try {
      future_.set_exception(std::move(error));
    } catch (const InvalidStateError&) {  // it was cancelled, or another argument has failed
    }
  }

 private:
  template <class Arg>
  void hang_on(Arg& arg) {
    if constexpr (is_future<Arg>) {
      // Weak: the arguments belong to the call, and must not keep it alive in turn.
      arg.add_done_callback([call = this->weak_from_this()](const Arg& done) {
        const auto alive = call.lock();
        if (alive == nullptr) return;
        alive->look_at(done);
        alive->arrive();
      });
    }
  }

  template <class Arg>
  void look_at(const Arg& done) noexcept {
    if (done.cancelled()) return cancel();
    if (std::exception_ptr error = done.exception()) fail(std::move(error));
  }

  void arrive() {
    if (missing_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    if (!future_.done()) send();
    engine_->leave_waiting(*this);
  }

  void send() noexcept {
    try {
      task_->begin_request(engine_->arena());
      const auto values =
          std::apply([](auto&... args) { return std::tuple_cat(value_of(args)...); }, args_);
      std::apply(
          [&](const auto&... value) {
            RemoteCall<R, F, std::decay_t<decltype(value)>...>::write(task_->request, fn_,
                                                                      value...);
          },
          values);
      engine_->submit_accepted(std::move(task_));
    } catch (...) {
      fail(std::current_exception());
    }
  }

  template <class Arg>
  static auto value_of(Arg& arg) {
    if constexpr (std::is_same_v<Arg, Future<void>>) {
      return std::tuple<>();
    } else if constexpr (is_future<Arg>) {
      return std::tie(std::as_const(arg).result());
    } else {
      return std::tie(std::as_const(arg));
    }
  }

  static constexpr std::size_t futures = (std::size_t{is_future<Args>} + ...);

  std::shared_ptr<Engine> engine_;
  F fn_;
  std::tuple<Args...> args_;
  PoolTaskPtr task_;
  Future<R> future_;
  std::atomic<std::size_t> missing_{futures + 1};
};

}  // namespace concurrent::futures::detail::process
