// SPDX-License-Identifier: MIT
#pragma once

// The shared state behind a Future: one reference-counted block that holds the outcome and, for a
// task, the callable and its arguments. No mutex, no condition variable.

#include <atomic>
#include <concurrent/detail/os/futex.hpp>
#include <concurrent/detail/os/spin_wait.hpp>
#include <concurrent/detail/standard.hpp>
#include <concurrent/futures/detail/before_fork.hpp>
#include <concurrent/futures/detail/block_pool.hpp>
#include <concurrent/futures/unraisable.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <mutex>
#include <new>
#include <type_traits>
#include <utility>

namespace concurrent::futures {
struct TaskOptions;
}

namespace concurrent::futures::detail {

using concurrent::detail::Deadline;
using concurrent::detail::os::SpinWait;

class StateBase;

/// Where a future stands. The order matters: from `cancelled` on it is done.
enum class Phase : std::uint32_t {
  pending,     // nobody has begun it
  running,     // set_running_or_notify_cancel: an executor outside this library has begun it
  executing,   // a worker of this library runs its callable, and alone may complete it
  setting,     // one thread is storing the outcome, and alone may complete it
  cancelling,  // one thread is destroying the callable, and will make it cancelled
  posted,      // a task without an outcome: claimed from birth by the queue that holds it
  handed,      // pending, but where another process may begin it at any moment
  cancelled,
  value,
  error,
};

inline constexpr bool is_done(Phase phase) { return phase >= Phase::cancelled; }

/// What hangs on a state until it is done: a callback, a `then`, or one entry of a `wait`.
class Continuation {
 public:
  enum class Kind : bool { waiter, callback };

  Continuation() = default;
  Continuation(const Continuation&) = delete;
  Continuation& operator=(const Continuation&) = delete;

  /// Called once, in the thread that completes `source`, under no lock. May destroy *this.
  virtual void fire(StateBase& source) noexcept = 0;
  /// Waiters are told before callbacks, as in Python.
  [[nodiscard]] virtual Kind kind() const noexcept { return Kind::callback; }

 protected:
  virtual ~Continuation() = default;

  // While it hangs on a state both belong to that state's list; fired waiters may reuse next_.
  Continuation* next_ = nullptr;
  StateBase* source_ = nullptr;

 private:
  friend class StateBase;
  friend class Cascade;
};

/// Mutexes chosen by address, for what happens too seldom to pay for a mutex in every state.
class Stripes {
 public:
  [[gnu::noinline]] static std::mutex& of(const void* address) noexcept {
    static const bool safe_to_fork = before_fork(lock_all, unlock_all);
    static_cast<void>(safe_to_fork);
    const auto bits = reinterpret_cast<std::uintptr_t>(address);
    return all()[(bits >> 6U ^ bits >> 12U) % count].mutex;
  }

 private:
  static constexpr std::size_t count = 32;
  struct alignas(64) Stripe {
    std::mutex mutex;
  };
  /// Neither allocated, as memory may be short, nor destroyed: static pools outlive statics.
  union Undying {
    constexpr Undying() : stripes{} {}
    ~Undying() {}  // NOLINT(modernize-use-equals-default): the mutexes stay
    Stripe stripes[count];
  };
  struct Trivial {
    Stripe stripes[count];
  };
  /// One with a destructor of its own, be it empty, is registered to be destroyed at exit.
  using Storage =
      std::conditional_t<std::is_trivially_destructible_v<std::mutex>, Trivial, Undying>;
  static Stripe* all() noexcept {
    static constinit Storage storage{};
    return storage.stripes;
  }
  [[gnu::cold]] static void lock_all() noexcept {
    for (std::size_t i = 0; i < count; ++i) all()[i].mutex.lock();
  }
  [[gnu::cold]] static void unlock_all() noexcept {
    for (std::size_t i = 0; i < count; ++i) all()[i].mutex.unlock();
  }
};

inline std::mutex& striped_mutex(const void* address) noexcept { return Stripes::of(address); }

/// The untyped part of a future's shared state.
///
/// Protocol, the outcome (`status_`: a Phase and the flag `awaited`)
///   claim    S1 CAS pending -> executing|setting|cancelling|running
///                                                          the winner owns callable and outcome
///   publish  S2 exchange -> cancelled|value|error          after the outcome was stored
///   sleep    S3 CAS sets `awaited`, then sleeps on the word itself
///   look     S4 load
///   Pairings S2(release) -> S4(acquire): who sees a done phase sees the outcome.
///            S1(acquire) pairs with S2 of a roll-back (`restore`), and with the queue for the
///            rest. S3/S2: both are read-modify-writes of one word, so either S2 sees `awaited` and
///            wakes, or S3 sees a done phase and does not sleep.
///   ABA      a done phase is final; setting -> pending (a value whose copy threw) and handed ->
///            pending (withdrawn) are the only ways back, and whoever compares with `pending` does
///            not care how often it was left.
///   Progress claim and publish are lock-free, publish is wait-free.
///
/// Protocol, the continuations (`waiters_`: an intrusive list, newest first, or `closed`)
///   add      C1 load status_, done: not added              (then the caller runs it)
///            C2 CAS waiters_ -> &node                      fails on `closed`: not added
///            C3 load status_, done: take as C5
///   publish  C4 load waiters_ after S2, null: nothing to do
///            C5 exchange -> closed                         takes the list, once
///            C6 lock and unlock the stripe                 lets a removal finish
///   remove   C7 lock the stripe, unlink, unlock            only while not `closed`
///   Pairings C2/C3 and S2/C4 are sequentially consistent, as in Dekker's algorithm: either the
///            completer sees the node at C4, or the adder sees the phase at C3. Both may; C5 gives
///            the list to exactly one of them.
///            C2(release) -> C5(acquire): who takes a node sees it whole.
///            C5/C7 by the stripe's mutex: a removal that began before C5 ends before the list is
///            walked; one that begins later finds `closed` and leaves it alone.
///   ABA      harmless: a head that was removed and added again between the load and C2 is still
///            the head, and node.next_ points to it, whatever hangs below by then.
///   Progress add and publish are lock-free unless something is being removed.
///
/// Lifetime: an intrusive count. The queue holds one reference, each handle one. The last release
/// of a state that is still pending completes it as cancelled first, so that nothing that hangs on
/// it is forgotten.
class StateBase {
 public:
  StateBase(const StateBase&) = delete;
  StateBase& operator=(const StateBase&) = delete;

  static void* operator new(std::size_t size) { return BlockPool::allocate(size); }
  static void operator delete(void* memory, std::size_t size) noexcept {
    BlockPool::deallocate(memory, size);
  }
  static void* operator new(std::size_t size, std::align_val_t alignment) {
    return ::operator new(size, alignment);
  }
  static void operator delete(void* memory, std::size_t size, std::align_val_t alignment) noexcept {
    static_cast<void>(size);
    ::operator delete(memory, alignment);
  }

  [[nodiscard]] Phase phase() const noexcept {
    // S4 acquire: pairs with S2
    return phase_of(status_.load(std::memory_order_acquire));
  }
  [[nodiscard]] bool done() const noexcept { return is_done(phase()); }
  /// Whether something hangs on the state that its completion will run. A guess: it may come now.
  [[nodiscard]] bool watched() const noexcept {
    return waiters_.load(std::memory_order_relaxed) != nullptr;  // relaxed: only a guess
  }

  /// pending -> `to`. True for the one thread that got it.
  bool claim(Phase to) noexcept { return move(Phase::pending, to); }
  /// `from` -> `to`, neither of them done.
  bool move(Phase from, Phase to) noexcept;
  /// Undoes a claim whose outcome could not be stored.
  void restore(Phase to) noexcept;
  /// Makes the stored outcome visible, wakes who waits, runs what hangs on it.
  void publish(Phase outcome) noexcept {
    publish(outcome, [] {});
  }
  /// The same; `before_callbacks` is called before the first one runs, if there are any.
  template <class Function>
  void publish(Phase outcome, Function&& before_callbacks) noexcept;
  /// The same from within a continuation: what hangs on this state runs after the continuations
  /// that are under way, so that a chain of any length needs one stack frame.
  void publish_in_turn(Phase outcome) noexcept;
  /// Cancels if pending. True when the state is cancelled afterwards; waits for another thread that
  /// is just cancelling it.
  bool cancel() noexcept;
  /// Completes with an exception if pending.
  void fail(std::exception_ptr error) noexcept;

  /// Hangs a continuation on the state; false: it is done already, and the caller runs it.
  bool add(Continuation& node) noexcept;
  /// Takes a continuation back; false: it was fired or is just being fired.
  bool remove(Continuation& node) noexcept;

  /// Sleeps until done or until the deadline; spins briefly first. True when done.
  bool wait(Deadline deadline) noexcept;

  void add_reference() noexcept {
    // relaxed: a new reference is made from an existing one, so nothing is read through it yet
    references_.fetch_add(1, std::memory_order_relaxed);
  }
  /// Adds a reference unless the last one is gone. The caller keeps the memory alive by other
  /// means.
  bool try_add_reference() noexcept;
  void release() noexcept;
  /// As release() where the state is done, but true for the last owner, who has to destroy it.
  [[nodiscard]] bool release_done() noexcept {
    // acquire, acq_rel: as in release()
    return references_.load(std::memory_order_acquire) == 1 ||
           references_.fetch_sub(1, std::memory_order_acq_rel) == 1;
  }
  /// Destroys a posted task, which has one owner and no outcome, or what release_done() says.
  void destroy() noexcept { delete this; }

  /// Runs the callable and stores what it gives, without making it visible. Only after a claim.
  virtual Phase execute() noexcept { return phase(); }
  /// Destroys the callable and its arguments without running them. Only after a claim.
  virtual void discard() noexcept {}
  /// Stores an exception as the outcome. Only after a claim.
  virtual void store_error(std::exception_ptr error) noexcept = 0;
  /// For Phase::handed: tries to make it pending again. False: it has been begun.
  virtual bool withdraw() noexcept { return true; }
  /// Waits a little without sleeping. True when done.
  [[gnu::noinline]] virtual bool wait_briefly(Deadline deadline) noexcept {
    return deadline.passed() ? done() : spin();
  }
  /// Ends it although it runs. False where that cannot be, or when it is done.
  virtual bool end_running() noexcept { return false; }
  /// Asks a running callable to stop; false where it takes no stop token.
  virtual bool request_stop() noexcept { return false; }
  /// Whether nobody notices when the result is destroyed, nor if it stays in memory for a while
  /// after its last handle (an exception in its place stays, too). Not for what waits for other
  /// states.
  [[nodiscard]] virtual bool may_stay() const noexcept { return false; }
  /// The options that the task was submitted with, or null.
  [[nodiscard]] virtual const TaskOptions* options() const noexcept { return nullptr; }
  /// A state that this one waits for and that is not done, with a reference added; or null.
  /// Looks from place `from` on, and moves that behind the one that it gives.
  [[nodiscard]] virtual StateBase* acquire_dependency(std::size_t& from) noexcept {
    return static_cast<void>(from), nullptr;
  }
  [[nodiscard]] StateBase* acquire_dependency() noexcept {
    std::size_t from = 0;
    return acquire_dependency(from);
  }

  /// Who will run it (the pool while queued, the worker afterwards); null: no pool of this library.
  /// Only ever compared by other threads, so relaxed.
  [[nodiscard]] const void* owner() const noexcept {
    return owner_.load(std::memory_order_relaxed);
  }
  void set_owner(const void* owner) noexcept { owner_.store(owner, std::memory_order_relaxed); }

 protected:
  explicit StateBase(std::uint32_t references, Phase born = Phase::pending) noexcept
      : status_(static_cast<std::uint32_t>(born)), references_(references) {}
  virtual ~StateBase() = default;

 private:
  friend class Cascade;

  static constexpr std::uint32_t awaited = 16;  // somebody sleeps on status_
  static constexpr Phase phase_of(std::uint32_t status) noexcept {
    return static_cast<Phase>(status & 15U);
  }
  static Continuation* closed() noexcept {
    return reinterpret_cast<Continuation*>(alignof(void*));  // no object lives there
  }

  void store_outcome(Phase outcome) noexcept;
  [[nodiscard]] Continuation* take_continuations() noexcept;
  void abandon() noexcept;
  bool spin() const noexcept;
  bool discarded_by_this_thread() const noexcept;
  bool unlink(Continuation& node) noexcept;

  std::atomic<std::uint32_t> status_;
  std::atomic<std::uint32_t> references_;
  std::atomic<Continuation*> waiters_{nullptr};
  std::atomic<const void*> owner_{nullptr};
};

/// The continuations that this thread has still to run. A thread that completes a state from
/// within a continuation (publish_in_turn) appends to the cascade that is under way.
class Cascade {
 public:
  /// Runs `list`, taken from its state, and all that is appended meanwhile.
  static void run(Continuation* list) noexcept {
    run(list, [] {});
  }
  /// The same; between the waiters, which only count and wake, and the first callback it calls
  /// `before_callbacks`.
  template <class Function>
  static void run(Continuation* list, Function&& before_callbacks) noexcept;
  /// Appends to the cascade under way in this thread, or runs at once if there is none.
  static void append(Continuation* list) noexcept;

 private:
  void take(Continuation* list) noexcept;
  void run_callbacks() noexcept;

  Continuation* first_ = nullptr;
  Continuation* last_ = nullptr;
  inline static constinit thread_local Cascade* current_ = nullptr;
};

/// A cancellation under way in this thread: the destructor of what it discards may cancel again.
struct Cancellation {
  explicit Cancellation(const StateBase* which) noexcept : state(which), outer(current) {
    current = this;
  }
  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;
  ~Cancellation() { current = outer; }

  const StateBase* state;
  Cancellation* outer;
  inline static constinit thread_local Cancellation* current = nullptr;
};

/// Owns one reference to a state.
template <class S>
class StateRef {
 public:
  StateRef() = default;
  /// Takes over a reference that is there already.
  explicit StateRef(S* adopted) noexcept : state_(adopted) {}
  static StateRef share(S* state) noexcept {
    if (state != nullptr) state->add_reference();
    return StateRef(state);
  }
  StateRef(const StateRef& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) state_->add_reference();
  }
  StateRef(StateRef&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  StateRef& operator=(StateRef other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~StateRef() {
    if (state_ != nullptr) state_->release();
  }

  [[nodiscard]] S* get() const noexcept { return state_; }
  [[nodiscard]] S* detach() noexcept { return std::exchange(state_, nullptr); }
  S* operator->() const noexcept { return state_; }
  S& operator*() const noexcept { return *state_; }
  explicit operator bool() const noexcept { return state_ != nullptr; }

 private:
  S* state_ = nullptr;
};

struct Nothing {};  // what is stored for void

/// The typed part: room for the value or the exception.
template <class T>
class State : public StateBase {
  static_assert(!std::is_rvalue_reference_v<T>, "a future cannot hold an rvalue reference");

 public:
  using Stored =
      std::conditional_t<std::is_void_v<T>, Nothing,
                         std::conditional_t<std::is_reference_v<T>, std::remove_reference_t<T>*,
                                            std::remove_const_t<T>>>;

  explicit State(std::uint32_t references = 1) noexcept : StateBase(references) {}

  template <class... Args>
  void store_value(Args&&... args) {
    if constexpr (std::is_reference_v<T>) {
      std::construct_at(&outcome_.value, std::addressof(args)...);
    } else {
      std::construct_at(&outcome_.value, std::forward<Args>(args)...);
    }
  }
  void store_error(std::exception_ptr error) noexcept override {
    std::construct_at(&outcome_.error, std::move(error));
  }
  [[nodiscard]] Stored& value() noexcept { return outcome_.value; }
  [[nodiscard]] const std::exception_ptr& error() const noexcept { return outcome_.error; }

 protected:
  ~State() override {
    switch (phase()) {
      case Phase::value:
        try {
          std::destroy_at(&outcome_.value);
        } catch (...) {  // a destructor that throws
          report_unraisable(std::current_exception(), "the destructor of a result");
        }
        break;
      case Phase::error:
        std::destroy_at(&outcome_.error);
        break;
      default:
        break;
    }
  }

 private:
  union Outcome {
    Outcome() noexcept {}         // NOLINT(modernize-use-equals-default): members are made later
    ~Outcome() noexcept(true) {}  // NOLINT(modernize-use-equals-default): State destroys one
    Stored value;
    std::exception_ptr error;
  } outcome_;
};

// Implementation

inline bool StateBase::move(Phase from, Phase to) noexcept {
  auto expected = static_cast<std::uint32_t>(from);
  for (;;) {
    const std::uint32_t desired = static_cast<std::uint32_t>(to) | (expected & awaited);
    // S1 acquire: pairs with `restore`. The callable itself came through a queue.
    if (status_.compare_exchange_weak(expected, desired, std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
      return true;
    }
    if (phase_of(expected) != from) return false;
  }
}

[[gnu::cold]] inline void StateBase::restore(Phase to) noexcept {
  std::uint32_t expected = status_.load(std::memory_order_relaxed);  // only `awaited` can change
  // release: pairs with S1 of the next claim
  while (!status_.compare_exchange_weak(expected,
                                        static_cast<std::uint32_t>(to) | (expected & awaited),
                                        std::memory_order_release, std::memory_order_relaxed)) {
  }
}

inline void StateBase::store_outcome(Phase outcome) noexcept {
  // S2 seq_cst: release for S4, and ordered before C4
  const std::uint32_t before =
      status_.exchange(static_cast<std::uint32_t>(outcome), std::memory_order_seq_cst);
  if ((before & awaited) != 0) concurrent::detail::os::futex_wake_all(status_);
}

template <class Function>
void StateBase::publish(Phase outcome, Function&& before_callbacks) noexcept {
  store_outcome(outcome);
  // C4 seq_cst: ordered after S2
  if (waiters_.load(std::memory_order_seq_cst) != nullptr) {
    Cascade::run(take_continuations(), before_callbacks);
  }
}

inline void StateBase::publish_in_turn(Phase outcome) noexcept {
  store_outcome(outcome);
  // C4 seq_cst: ordered after S2
  if (waiters_.load(std::memory_order_seq_cst) != nullptr) Cascade::append(take_continuations());
}

[[gnu::cold]] inline Continuation* StateBase::take_continuations() noexcept {
  // C5 acq_rel: acquire for the nodes (C2), release so that C2's failure sees the outcome
  Continuation* newest = waiters_.exchange(closed(), std::memory_order_acq_rel);
  if (newest == nullptr || newest == closed()) return nullptr;
  { const std::scoped_lock removal_finished(striped_mutex(this)); }  // C6
  Continuation* oldest = nullptr;
  while (newest != nullptr) {
    Continuation* const node = std::exchange(newest, newest->next_);
    node->next_ = oldest;
    oldest = node;
  }
  return oldest;
}

[[gnu::noinline]] inline bool StateBase::cancel() noexcept {
  do {
    if (!claim(Phase::cancelling)) continue;
    {
      const Cancellation under_way(this);
      discard();  // captures are gone before the cancellation is visible
    }
    publish(Phase::cancelled);
    return true;
  } while (phase() == Phase::handed && withdraw());
  if (phase() == Phase::cancelling && !discarded_by_this_thread()) wait({});
  const Phase now = phase();
  return now == Phase::cancelled || now == Phase::cancelling;
}

[[gnu::cold]] inline bool StateBase::discarded_by_this_thread() const noexcept {
  const Cancellation* under_way = Cancellation::current;
  while (under_way != nullptr && under_way->state != this) under_way = under_way->outer;
  return under_way != nullptr;
}

[[gnu::noinline]] inline void StateBase::fail(std::exception_ptr error) noexcept {
  if (!claim(Phase::setting)) return;
  discard();
  store_error(std::move(error));
  publish(Phase::error);
}

[[gnu::noinline]] inline bool StateBase::add(Continuation& node) noexcept {
  if (done()) return false;  // C1
  node.source_ = this;
  Continuation* head = waiters_.load(std::memory_order_relaxed);  // C2 compares it
  do {
    if (head == closed()) {
      // acquire: pairs with C5, so that the caller sees the outcome
      static_cast<void>(waiters_.load(std::memory_order_acquire));
      return false;
    }
    node.next_ = head;
    // C2 seq_cst: release for C5, and ordered before C3
  } while (!waiters_.compare_exchange_weak(head, &node, std::memory_order_seq_cst,
                                           std::memory_order_relaxed));
  // C3 seq_cst: ordered after C2
  if (is_done(phase_of(status_.load(std::memory_order_seq_cst)))) {
    Cascade::run(take_continuations());
  }
  return true;
}

[[gnu::noinline]] inline bool StateBase::remove(Continuation& node) noexcept {
  const std::scoped_lock lock(striped_mutex(this));  // C7
  return unlink(node);
}

[[gnu::noinline]] inline bool StateBase::unlink(Continuation& node) noexcept {
  // acquire: pairs with C2, the nodes below the head are read
  Continuation* head = waiters_.load(std::memory_order_acquire);
  while (head == &node) {
    // Nothing is published by leaving the list. Acquire, because a failure reads new nodes.
    if (waiters_.compare_exchange_weak(head, node.next_, std::memory_order_acquire,
                                       std::memory_order_acquire)) {
      return true;
    }
  }
  if (head == closed()) return false;
  for (Continuation* above = head; above != nullptr; above = above->next_) {
    if (above->next_ != &node) continue;
    above->next_ = node.next_;
    // If the list was closed meanwhile, the completer waits for the stripe before it walks it, and
    // so does not meet the node any more.
    return true;
  }
  return false;
}

inline bool StateBase::spin() const noexcept {
  if (!SpinWait::is_of_use()) return done();
  SpinWait wait(SpinWait::FirstYield::soon);
  do {
    if (done()) return true;
  } while (wait.turn());
  return done();
}

[[gnu::noinline]] inline bool StateBase::wait(Deadline deadline) noexcept {
  if (wait_briefly(deadline)) return true;
  std::uint32_t seen = status_.load(std::memory_order_acquire);  // S4
  for (;;) {
    if (is_done(phase_of(seen))) return true;
    if (deadline.passed()) return done();
    if ((seen & awaited) == 0) {
      // S3: the order with S2 comes from being one word. Acquire, because failing it is a look, as
      // S4, and g++ 12 warns of an order for failure alone.
      if (!status_.compare_exchange_weak(seen, seen | awaited, std::memory_order_acquire,
                                         std::memory_order_acquire)) {
        continue;
      }
      seen |= awaited;
    }
    concurrent::detail::os::futex_wait(status_, seen, deadline);
    seen = status_.load(std::memory_order_acquire);  // S4
  }
}

inline bool StateBase::try_add_reference() noexcept {
  std::uint32_t count = references_.load(std::memory_order_relaxed);
  while (count != 0) {
    // relaxed: the caller's lock orders this with the destruction
    if (references_.compare_exchange_weak(count, count + 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

inline void StateBase::release() noexcept {
  // acquire: the last owner sees what the others did before they let go (their acq_rel below).
  // Of a done state only owners make new owners, so being the only one saves a read-modify-write.
  if (references_.load(std::memory_order_acquire) == 1 && done()) {
    delete this;
    return;
  }
  if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (done()) {
    delete this;
  } else {
    abandon();
  }
}

// The last owner of a state that nobody can complete any more. What hangs on it learns that.
[[gnu::cold]] inline void StateBase::abandon() noexcept {
  references_.store(1, std::memory_order_relaxed);  // at 0, nobody else changes it
  if (claim(Phase::setting) || move(Phase::running, Phase::setting)) discard();
  publish_in_turn(Phase::cancelled);
  release();
}

[[gnu::noinline]] inline void Cascade::take(Continuation* list) noexcept {
  // Waiters first: they only count and wake. Callbacks keep their order.
  Continuation* callbacks = nullptr;
  Continuation** end = &callbacks;
  while (list != nullptr) {
    Continuation* const node = std::exchange(list, list->next_);
    if (node->kind() == Continuation::Kind::waiter) {
      node->fire(*node->source_);
    } else {
      node->next_ = nullptr;
      node->source_->add_reference();
      *end = node;
      end = &node->next_;
    }
  }
  if (callbacks == nullptr) return;
  (first_ == nullptr ? first_ : last_->next_) = callbacks;
  last_ = callbacks;
  while (last_->next_ != nullptr) last_ = last_->next_;
}

template <class Function>
void Cascade::run(Continuation* list, Function&& before_callbacks) noexcept {
  Cascade cascade;
  cascade.take(list);
  if (cascade.first_ == nullptr) return;
  before_callbacks();
  cascade.run_callbacks();
}

[[gnu::noinline]] inline void Cascade::run_callbacks() noexcept {
  Cascade* const outer = std::exchange(current_, this);
  while (first_ != nullptr) {
    Continuation* const node = std::exchange(first_, first_->next_);
    StateBase* const source = node->source_;
    node->fire(*source);
    source->release();
  }
  current_ = outer;
}

inline void Cascade::append(Continuation* list) noexcept {
  if (current_ == nullptr) {
    run(list);
  } else {
    current_->take(list);
  }
}

}  // namespace concurrent::futures::detail
