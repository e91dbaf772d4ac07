// SPDX-License-Identifier: MIT
#pragma once

// A task on its way through a process pool: its request as bytes, and the future that waits.

#include <chrono>
#include <concurrent/futures/detail/process/frame.hpp>
#include <concurrent/futures/detail/process/remote_call.hpp>
#include <concurrent/futures/errors.hpp>
#include <concurrent/futures/future.hpp>
#include <concurrent/futures/task_options.hpp>
#include <concurrent/futures/unraisable.hpp>
#include <cstdint>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

namespace concurrent::futures::detail::process {

/// The untyped part, as the engine sees it. **Thread safety** none; it belongs to its queue, then
/// to the manager thread.
class PoolTask {
 public:
  PoolTask() = default;
  PoolTask(const PoolTask&) = delete;
  PoolTask& operator=(const PoolTask&) = delete;
  virtual ~PoolTask() = default;

  /// Before the task is sent: false when it was cancelled.
  virtual bool start() noexcept = 0;
  /// Whether it has been cancelled, or completed by somebody else.
  [[nodiscard]] virtual bool settled() const noexcept = 0;
  /// Reads the result and completes the future. @throws what reading it throws; then it is not
  /// done.
  virtual void succeed(ByteReader& result) = 0;
  virtual void fail(std::exception_ptr error) noexcept = 0;
  virtual void cancel() noexcept = 0;

  /// "the task 'name'", or `unnamed` for one without a name.
  [[nodiscard]] std::string called(const char* unnamed) const {
    return options.name.empty() ? std::string(unnamed) : "the task '" + options.name + "'";
  }

  std::uint64_t id = 0;
  TaskOptions options{};
  ByteBuffer request;
};

using PoolTaskPtr = std::unique_ptr<PoolTask>;

/// A task with a future. The executor's user may complete that future too; the first one wins.
template <class R>
class FutureTask final : public PoolTask {
 public:
  explicit FutureTask(Future<R> future) : future_(std::move(future)) {}

  bool start() noexcept override {
    try {
      return future_.set_running_or_notify_cancel();
    } catch (const InvalidStateError&) {
      return false;
    }
  }
  [[nodiscard]] bool settled() const noexcept override { return future_.done(); }
  void succeed(ByteReader& result) override {
    if constexpr (std::is_void_v<R>) {
      result.expect_end();
      complete([this] { future_.set_result(); });
    } else {
      auto value = read_result<R>(result);
      complete([&] { future_.set_result(std::move(value)); });
    }
  }
  void fail(std::exception_ptr error) noexcept override {
    complete([&] { future_.set_exception(std::move(error)); });
  }
  void cancel() noexcept override { future_.cancel(); }

 private:
  template <class Set>
  static void complete(Set&& set) noexcept {
    try {
      set();
    } catch (const InvalidStateError&) {
    } catch (...) {
      report_unraisable(std::current_exception(), "the completion of a future");
    }
  }

  Future<R> future_;
};

/// A task that nobody waits for.
class UnwatchedTask final : public PoolTask {
 public:
  bool start() noexcept override { return true; }
  [[nodiscard]] bool settled() const noexcept override { return false; }
  void succeed(ByteReader&) override {}
  void fail(std::exception_ptr error) noexcept override {
    report_unraisable(error, "a posted task");
  }
  void cancel() noexcept override {}
};

}  // namespace concurrent::futures::detail::process
