// SPDX-License-Identifier: MIT
#pragma once

// A task on its way through a process pool: its request as bytes, and the future that waits.

#include <atomic>
#include <concurrent/futures/detail/process/frame.hpp>
#include <concurrent/futures/detail/process/remote_call.hpp>
#include <concurrent/futures/detail/state.hpp>
#include <concurrent/futures/errors.hpp>
#include <concurrent/futures/future.hpp>
#include <concurrent/futures/task_options.hpp>
#include <concurrent/futures/unraisable.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

namespace concurrent::futures::detail::process {

class PoolTask;

/// The engine, as its tasks see it.
class TaskOwner {
 public:
  TaskOwner() = default;
  TaskOwner(const TaskOwner&) = delete;
  TaskOwner& operator=(const TaskOwner&) = delete;
  virtual ~TaskOwner() = default;

  /// Nobody need run the task any more; it may lie in the queue still.
  virtual void note_settled(const PoolTask& task) noexcept = 0;
  /// Takes a task back that lies in a worker's ring. False: the worker has begun it.
  virtual bool withdraw(PoolTask& task) noexcept = 0;
  /// Ends a running task with its worker: begin_cancelling() has been called then. False: it is
  /// done, or will be at once.
  virtual bool end_running(PoolTask& task) noexcept = 0;
  /// Does the engine's work for a while, in a thread that waits for `target`, whose worker has to
  /// copy so many bytes. True: it is done.
  virtual bool drive_for(StateBase& target, Deadline deadline, std::size_t bytes) noexcept = 0;
};

/// The untyped part, as the engine sees it. **Thread safety** none; it belongs to its queue, then
/// to whoever drives the engine.
class PoolTask {
 public:
  PoolTask() = default;
  PoolTask(const PoolTask&) = delete;
  PoolTask& operator=(const PoolTask&) = delete;

  /// Before the task is sent: false when it was cancelled.
  virtual bool start() noexcept = 0;
  /// Before it is put behind another in a worker's ring, where it stays pending. False: cancelled.
  virtual bool offer() noexcept = 0;
  /// It was revoked, and may be offered again. False: its future was completed otherwise.
  virtual bool take_back() noexcept = 0;
  /// The worker has begun what was offered.
  virtual void begin() noexcept = 0;
  /// Whether it is still to be run, after start().
  [[nodiscard]] virtual bool wanted() const noexcept = 0;
  /// Claims the outcome for a cancellation, although it runs. False: it has one.
  virtual bool begin_cancelling() noexcept = 0;
  /// Whether completing it runs something that hangs on the future.
  [[nodiscard]] virtual bool watched() const noexcept = 0;
  /// Whether it has been cancelled, or completed by somebody else, or is just being so.
  [[nodiscard]] virtual bool settled() const noexcept = 0;
  /// Reads the result and completes the future. @throws what reading it throws; then it is not
  /// done.
  virtual void succeed(ByteReader& result) = 0;
  virtual void fail(std::exception_ptr error) noexcept = 0;
  virtual void cancel() noexcept = 0;
  virtual void release_task() noexcept = 0;

  /// "the task 'name'", or `unnamed` for one without a name.
  [[nodiscard]] std::string called(const char* unnamed) const {
    return options().name.empty() ? std::string(unnamed) : "the task '" + options().name + "'";
  }

  /// Most tasks have none of their own, and no room for them.
  [[nodiscard]] const TaskOptions& options() const noexcept {
    static const TaskOptions usual{};
    return options_ != nullptr ? *options_ : usual;
  }
  /// Null: the default ones.
  void set_options(std::unique_ptr<const TaskOptions> options) noexcept {
    options_ = std::move(options);
  }
  /// An empty request is ready to be written; what is large goes to `arena`.
  void begin_request(multiprocessing::detail::BufferSource* arena) {
    request.draw_from(arena);
    request.begin_in(room_);
    begin_frame(request);
  }

  std::uint64_t number = 0;  // in the order in which they became ready
  ByteBuffer request;
  // A copy of it, if it may have to be sent again, until the result is read.
  std::unique_ptr<ByteBuffer> sent;
  std::unique_ptr<ByteBuffer::Kept> kept;  // what the request refers to
  // Which worker has it, under the engine's mutex; 0: none.
  std::uint64_t worker = 0;
  std::uint64_t ticket = 0;
  std::uint32_t deaths = 0;  // of workers that ran it
  /// How large the request was. Relaxed: who waits for the future decides by it for how long to do
  /// so actively.
  std::atomic<std::uint32_t> kibibytes{0};

 protected:
  virtual ~PoolTask() = default;

 private:
  std::unique_ptr<const TaskOptions> options_;
  // For a small request, so that a task is one block of memory, which BlockPool has.
  alignas(ByteBuffer::alignment) std::byte room_[header_size + 48];
};

struct ReleaseTask {
  void operator()(PoolTask* task) const noexcept { task->release_task(); }
};
using PoolTaskPtr = std::unique_ptr<PoolTask, ReleaseTask>;

/// A task with a future: its shared state itself. The executor's user may complete that future too;
/// the first one wins.
template <class R>
class FutureTask final : public State<R>, public PoolTask {
 public:
  /// Two references: the handle's and the engine's.
  explicit FutureTask(std::weak_ptr<TaskOwner> engine) : State<R>(2), engine_(std::move(engine)) {}

  bool start() noexcept override { return this->claim(Phase::running); }
  bool offer() noexcept override { return this->claim(Phase::handed); }
  bool take_back() noexcept override { return this->move(Phase::handed, Phase::pending); }
  void begin() noexcept override { this->move(Phase::handed, Phase::running); }
  [[nodiscard]] bool wanted() const noexcept override { return this->phase() == Phase::running; }
  bool begin_cancelling() noexcept override { return begin_setting(); }
  [[nodiscard]] bool watched() const noexcept override { return State<R>::watched(); }

  [[nodiscard]] bool settled() const noexcept override {
    const Phase now = this->phase();
    return now != Phase::pending && now != Phase::handed && now != Phase::running;
  }
  void succeed(ByteReader& result) override {
    if constexpr (std::is_void_v<R>) {
      result.expect_end();
      if (!begin_setting()) return;
      this->store_value();
      this->publish(Phase::value);
    } else {
      auto value = read_result<R>(result);
      if (!begin_setting()) return;
      try {
        this->store_value(std::move(value));
      } catch (...) {  // a move that throws
        this->store_error(std::current_exception());
        return this->publish(Phase::error);
      }
      this->publish(Phase::value);
    }
  }
  void fail(std::exception_ptr error) noexcept override {
    if (!begin_setting()) return;
    this->store_error(std::move(error));
    this->publish(Phase::error);
  }
  void cancel() noexcept override {
    // It may be waiting to be run once more.
    if (!State<R>::cancel() && begin_setting()) this->publish(Phase::cancelled);
  }
  void release_task() noexcept override {
    // Whoever drops it has had no memory.
    if (!this->done()) fail(std::make_exception_ptr(std::bad_alloc()));
    request = {};  // before the engine may go
    sent.reset();
    kept.reset();
    this->release();
  }

  void discard() noexcept override {
    if (const auto engine = engine_.lock()) engine->note_settled(*this);
  }
  bool withdraw() noexcept override {
    const auto engine = engine_.lock();
    // Without an engine it is just being completed.
    return engine != nullptr && engine->withdraw(*this);
  }
  bool end_running() noexcept override {
    const auto engine = engine_.lock();
    if (engine == nullptr || !engine->end_running(*this)) return false;
    this->publish(Phase::cancelled);
    return true;
  }
  bool wait_briefly(Deadline deadline) noexcept override {
    if (this->done()) return true;
    const auto engine = engine_.lock();
    return engine != nullptr
               ? engine->drive_for(*this, deadline,
                                   std::size_t{1024} * kibibytes.load(std::memory_order_relaxed))
               : this->done();
  }

 private:
  ~FutureTask() override = default;

  bool begin_setting() noexcept {
    return this->move(Phase::running, Phase::setting) ||
           this->move(Phase::handed, Phase::setting) || this->claim(Phase::setting);
  }

  std::weak_ptr<TaskOwner> engine_;
};

/// Stands for a task whose worker is being killed.
class DroppedTask final : public PoolTask {
 public:
  bool start() noexcept override { return false; }
  bool offer() noexcept override { return false; }
  bool take_back() noexcept override { return false; }
  void begin() noexcept override {}
  [[nodiscard]] bool wanted() const noexcept override { return false; }
  bool begin_cancelling() noexcept override { return false; }
  [[nodiscard]] bool settled() const noexcept override { return true; }
  [[nodiscard]] bool watched() const noexcept override { return false; }
  void succeed(ByteReader&) override {}
  void fail(std::exception_ptr) noexcept override {}
  void cancel() noexcept override {}
  void release_task() noexcept override { delete this; }

 private:
  ~DroppedTask() override = default;
};

/// A task that nobody waits for.
class UnwatchedTask final : public PoolTask {
 public:
  bool start() noexcept override { return true; }
  bool offer() noexcept override { return true; }
  bool take_back() noexcept override { return true; }
  void begin() noexcept override {}
  [[nodiscard]] bool wanted() const noexcept override { return true; }
  bool begin_cancelling() noexcept override { return false; }
  [[nodiscard]] bool watched() const noexcept override { return false; }
  [[nodiscard]] bool settled() const noexcept override { return false; }
  void succeed(ByteReader&) override {}
  void fail(std::exception_ptr error) noexcept override {
    report_unraisable(error, "a posted task");
  }
  void cancel() noexcept override {}
  void release_task() noexcept override { delete this; }

 private:
  ~UnwatchedTask() override = default;
};

}  // namespace concurrent::futures::detail::process
