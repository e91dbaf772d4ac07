// SPDX-License-Identifier: MIT
#pragma once

// A model checker for lock-free code: it runs a few threads one step at a time, in many different
// orders, on a memory as weak as the C++ standard allows it to be (but for the limits below).
//
// explore(options, body) runs `body` again and again. The body starts model::thread objects and
// uses model::atomic, model::mutex and so on; each operation on these is a step, before which
// another thread may be switched to. Systematically (no seed) all executions are run that have at
// most `preemptions` switches away from a thread that could have gone on, and at most `stale_reads`
// reads of something other than the newest value. With a seed, executions are drawn at random
// within these bounds. Either way an execution is repeatable.
//
// Memory. Each atomic keeps the history of its values. A load may return any value that is not
// older than what the thread has seen, which release and acquire pass on, and than the newest
// sequentially consistent store, if it is such a load. So code that needs an order that it does not
// ask for fails here on every machine, x86 included. What an execution cannot show: a store that
// becomes visible before an earlier read of the same thread (load buffering), stores to one atomic
// in another order than that of the execution, and fences, which the library does not use; and,
// unless it is asked for, a compare_exchange that fails since it read an older value.
//
// Found are: require() that is false, deadlocks and lost wake-ups (all threads sleep), livelocks,
// races on model::plain, an atomic destroyed by a thread that does not know of another's access to
// it, an atomic that is used after it was destroyed (if its memory is still as it was;
// AddressSanitizer finds the rest), an atomic never destroyed (so every leak of what holds one),
// and exceptions.
//
// Mutations. Every operation knows the place in the source that it was called from. `sites` of a
// result lists them, and options.mutation changes one: weakens its order, or leaves it out.
//
// Threads are real ones, of which only the one with the baton runs, so thread_local works.

#include <sched.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <source_location>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace model {

inline constexpr std::size_t max_threads = 8;

enum class Operation { load, store, exchange, compare_exchange, fetch, futex_wake };
enum class Change {
  none,
  weaken,          // seq_cst to acquire, release or acq_rel; these to relaxed; acq_rel to acquire
  weaken_acquire,  // acq_rel to release
  weaken_failure,  // of compare_exchange: the order of a failure, acquire to relaxed
  leave_out,       // a store, a wake-up, or what a read-modify-write writes
};

inline const char* name_of(Operation operation) {
  constexpr std::array names{"load",  "store",     "exchange", "compare_exchange",
                             "fetch", "futex_wake"};
  return names[static_cast<std::size_t>(operation)];
}
inline const char* name_of(Change change) {
  constexpr std::array names{"none", "weaken", "weaken_acquire", "weaken_failure", "leave_out"};
  return names[static_cast<std::size_t>(change)];
}
inline const char* name_of(std::memory_order order) {
  switch (order) {
    case std::memory_order_relaxed:
      return "relaxed";
    case std::memory_order_acquire:
      return "acquire";
    case std::memory_order_release:
      return "release";
    case std::memory_order_acq_rel:
      return "acq_rel";
    default:
      return "seq_cst";
  }
}

/// "Class::function" of a place in the source, without arguments of templates or functions.
inline std::string function_of(const std::source_location& place) {
  std::string whole = place.function_name();
  for (const std::string_view unnamed : {"(anonymous namespace)::", "{anonymous}::"}) {
    for (auto at = whole.find(unnamed); at != whole.npos; at = whole.find(unnamed)) {
      whole.erase(at, unnamed.size());
    }
  }
  std::string name;
  int depth = 0;  // of template arguments
  for (const char c : whole) {
    if (c == '<') ++depth;
    if (depth == 0 && c == '(') break;
    if (depth == 0) name += c;
    if (c == '>') --depth;
  }
  if (const auto type = name.find_last_of(" *&"); type != name.npos) name.erase(0, type + 1);
  const auto function = name.rfind("::");
  if (function == name.npos || function == 0) return name;
  const auto type = name.rfind("::", function - 1);
  return type == name.npos ? name : name.substr(type + 2);
}

/// An operation in the source.
struct Site {
  std::string_view file;
  unsigned line = 0;
  unsigned column = 0;
  std::string function{};
  Operation operation{};
  std::memory_order order{};
  std::memory_order failure = std::memory_order_relaxed;

  [[nodiscard]] bool is(const std::source_location& place, Operation at) const {
    return line == place.line() && column == place.column() && operation == at &&
           file == place.file_name();
  }
};

struct Mutation {
  Site site{};
  Change change = Change::none;
};

struct Options {
  int preemptions = 2;
  int stale_reads = 2;
  bool stale_failures = false;         // of compare_exchange that would succeed on the newest value
  std::size_t executions = 1'000'000;  // at most
  std::uint64_t seed = 0;              // 0: systematically
  Mutation mutation{};
};

struct Result {
  bool failed = false;
  bool complete = false;  // all executions within the bounds were run
  std::size_t executions = 0;
  std::string what{};  // what failed, and the steps that led to it
  std::vector<Site> sites{};
};

/// What a thread knows: how much of each atomic's history, and of each thread's life.
struct View {
  std::vector<std::uint32_t> seen{};
  std::array<std::uint32_t, max_threads> clock{};

  [[nodiscard]] std::uint32_t of(std::size_t location) const {
    return location < seen.size() ? seen[location] : 0;
  }
  void see(std::size_t location, std::uint32_t index) {
    if (location >= seen.size()) seen.resize(location + 1, 0);
    if (seen[location] < index) seen[location] = index;
  }
  void join(const View& other) {
    if (seen.size() < other.seen.size()) seen.resize(other.seen.size(), 0);
    for (std::size_t i = 0; i < other.seen.size(); ++i) {
      if (seen[i] < other.seen[i]) seen[i] = other.seen[i];
    }
    for (std::size_t i = 0; i < max_threads; ++i) {
      if (clock[i] < other.clock[i]) clock[i] = other.clock[i];
    }
  }
};

class Engine {
 public:
  explicit Engine(Options options, std::function<void()> body)
      : options_(std::move(options)), body_(std::move(body)), random_(options_.seed) {}

  /// The engine whose thread this is, or null.
  static Engine* current() { return self_ == nullptr ? nullptr : self_->engine; }
  [[nodiscard]] std::uint64_t execution() const { return execution_; }

  Result run();

  // For the model's types. The calling thread has the baton.
  struct Access {
    std::memory_order order;
    std::memory_order failure;
    bool leave_out;
  };
  Access begin(const std::source_location& place, Operation operation, std::memory_order order,
               std::memory_order failure = std::memory_order_relaxed);
  std::size_t locate(std::uint64_t initial);
  /// Not a value that equals `unwanted`; the newest does not.
  std::uint64_t load(std::size_t location, std::memory_order order,
                     const std::uint64_t* unwanted = nullptr);
  /// Maybe a value that is not the newest nor equals `unwanted`.
  std::optional<std::uint64_t> load_older(std::size_t location, std::memory_order order,
                                          std::uint64_t unwanted);
  void store(std::size_t location, std::uint64_t value, std::memory_order order);
  /// The newest value; a read-modify-write reads no other.
  [[nodiscard]] std::uint64_t newest(std::size_t location) const {
    return locations_[location].history.back().value;
  }
  void modify(std::size_t location, std::uint64_t value, std::memory_order order);
  void born() { ++living_; }
  /// Ends the life of an atomic, which had a location if anyone used it.
  void died(const std::size_t* location);
  void note(std::uint64_t value) {
    if (!trace_.empty()) trace_.back().value = value;
  }
  /// Lets others run; what this thread waits for needs them.
  void yield();
  void block(const void* on, const std::source_location& place);
  std::size_t unblock(const void* on, std::size_t at_most);
  std::size_t start(std::function<void()> life);
  [[nodiscard]] bool finished(std::size_t thread) const {
    return threads_[thread]->state == State::finished;
  }
  [[nodiscard]] const void* end_of(std::size_t thread) const { return threads_[thread].get(); }
  View& view() { return self_->view; }
  /// What the thread does from here on is not known to those that knew what it did before.
  void next_moment() { ++self_->view.clock[self_->number]; }
  [[nodiscard]] const View& view_of(std::size_t thread) const { return threads_[thread]->view; }
  [[nodiscard]] std::size_t thread_number() const { return self_->number; }
  [[noreturn]] void fail(const std::string& what);
  void step();

 private:
  enum class State { unused, runnable, blocked, finished };
  struct Thread {
    Engine* engine = nullptr;
    std::size_t number = 0;
    std::thread thread{};
    std::atomic<std::uint32_t> baton{0};
    bool leave = false;
    State state = State::unused;
    bool yielded = false;
    const void* blocked_on = nullptr;
    std::source_location blocked_at{};
    std::function<void()> life{};
    View view{};
  };
  struct Message {
    std::uint64_t value;
    View view;  // what a reader that acquires learns
  };
  struct Location {
    std::vector<Message> history;
    std::uint32_t newest_seq_cst = 0;
    std::array<std::uint32_t, max_threads> accesses{};  // each thread's last one, by its clock
  };
  struct Event {
    std::size_t thread;
    std::source_location place;
    Operation operation;
    std::memory_order order;
    std::uint64_t value;
  };
  struct Decision {
    std::uint32_t taken;
    std::uint32_t count;
  };

  /// Keeps the threads on one processor: they run in turn, and hand over faster there.
  class OneProcessor {
   public:
    OneProcessor() {
      cpu_set_t here;
      CPU_ZERO(&here);
      if (::sched_getaffinity(0, sizeof before_, &before_) != 0) return;
      CPU_SET(static_cast<std::size_t>(::sched_getcpu()), &here);
      changed_ = ::sched_setaffinity(0, sizeof here, &here) == 0;
    }
    OneProcessor(const OneProcessor&) = delete;
    OneProcessor& operator=(const OneProcessor&) = delete;
    ~OneProcessor() {
      if (changed_) ::sched_setaffinity(0, sizeof before_, &before_);
    }

   private:
    cpu_set_t before_{};
    bool changed_ = false;
  };

  static bool acquires(std::memory_order order) {
    return order == std::memory_order_acquire || order == std::memory_order_acq_rel ||
           order == std::memory_order_seq_cst;
  }
  static bool releases(std::memory_order order) {
    return order == std::memory_order_release || order == std::memory_order_acq_rel ||
           order == std::memory_order_seq_cst;
  }

  std::uint32_t choose(std::uint32_t count, std::uint32_t one_in);
  bool next_execution();
  void execute();
  void main_of(Thread& thread);
  void pass_to(Thread& next);
  void wait_for_baton();
  Thread* pick(bool can_go_on);
  void leave_thread();
  void stop_threads();
  [[nodiscard]] std::string story() const;
  /// The oldest value that a load may return.
  [[nodiscard]] std::uint32_t oldest_of(std::size_t location, std::memory_order order) const {
    const std::uint32_t seen = self_->view.of(location);
    const std::uint32_t newest_seq_cst = locations_[location].newest_seq_cst;
    return order == std::memory_order_seq_cst && seen < newest_seq_cst ? newest_seq_cst : seen;
  }
  std::uint64_t read(std::size_t location, std::uint32_t index, std::memory_order order) {
    const Message& message = locations_[location].history[index];
    self_->view.see(location, index);
    if (acquires(order)) self_->view.join(message.view);
    return message.value;
  }
  Location& access(std::size_t location) {
    Location& at = locations_[location];
    at.accesses[self_->number] = self_->view.clock[self_->number];
    return at;
  }

  const Options options_;
  const std::function<void()> body_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::size_t used_ = 0;
  std::vector<Location> locations_;
  std::vector<Decision> trail_;
  std::size_t position_ = 0;
  int preemptions_left_ = 0;
  int stale_reads_left_ = 0;
  std::size_t steps_ = 0;
  std::size_t living_ = 0;  // atomics that this execution made and has not destroyed
  std::vector<Event> trace_;
  std::map<std::tuple<std::string_view, unsigned, unsigned, Operation>, Site> sites_;
  std::uint64_t execution_ = 0;
  bool failed_ = false;
  std::string what_;
  std::atomic<std::uint32_t> over_{0};

  inline static std::atomic<std::uint64_t> executions_{0};
  inline static thread_local Thread* self_ = nullptr;
};

/// Fails the execution if `condition` is false. For the body and its threads.
inline void require(bool condition, const char* what) {
  if (!condition) Engine::current()->fail(what);
}

inline void yield() {
  if (Engine* const engine = Engine::current()) engine->yield();
}

/// Runs the body in all the executions that the options ask for, or until one fails.
inline Result explore(const Options& options, std::function<void()> body) {
  // An engine whose threads are stuck in a failed execution is left behind, reachable from here.
  static auto* const kept = new std::vector<Engine*>;
  auto* const engine = new Engine(options, std::move(body));
  Result result = engine->run();
  if (result.failed) {
    kept->push_back(engine);
  } else {
    delete engine;
  }
  return result;
}

template <class T>
class atomic {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t));
  using Place = std::source_location;

 public:
  using value_type = T;
  constexpr atomic() noexcept : atomic(T{}) {}
  constexpr atomic(T value) noexcept : value_(value) {  // NOLINT: as std::atomic
    if (!std::is_constant_evaluated()) born();
  }
  atomic(const atomic&) = delete;
  atomic& operator=(const atomic&) = delete;
  constexpr ~atomic() {
    if (!std::is_constant_evaluated()) die();
  }

  T load(std::memory_order order = std::memory_order_seq_cst,
         Place place = Place::current()) const noexcept {
    Engine* const engine = Engine::current();
    if (engine == nullptr) return value_;
    const auto access = engine->begin(place, Operation::load, order);
    const std::uint64_t bits = engine->load(locate(*engine), access.order);
    engine->note(bits);
    return from_bits(bits);
  }
  void store(T value, std::memory_order order = std::memory_order_seq_cst,
             Place place = Place::current()) noexcept {
    if (Engine* const engine = Engine::current()) {
      const auto access = engine->begin(place, Operation::store, order);
      engine->note(to_bits(value));
      if (access.leave_out) return;
      engine->store(locate(*engine), to_bits(value), access.order);
    }
    value_ = value;
  }
  T exchange(T value, std::memory_order order = std::memory_order_seq_cst,
             Place place = Place::current()) noexcept {
    return modify(Operation::exchange, order, place, [value](T) { return value; });
  }
  bool compare_exchange_strong(T& expected, T desired, std::memory_order success,
                               std::memory_order failure, Place place = Place::current()) noexcept {
    Engine* const engine = Engine::current();
    if (engine == nullptr) {
      if (value_ == expected) {
        value_ = desired;
        return true;
      }
      expected = value_;
      return false;
    }
    const auto access = engine->begin(place, Operation::compare_exchange, success, failure);
    const std::size_t location = locate(*engine);
    if (from_bits(engine->newest(location)) == expected) {
      if (const auto older =
              engine->load_older(location, access.failure, engine->newest(location))) {
        expected = from_bits(*older);
        engine->note(*older);
        return false;
      }
      engine->modify(location, to_bits(desired), access.order);
      engine->note(to_bits(desired));
      value_ = desired;
      return true;
    }
    // A failure is but a load, of a value that is not the expected one.
    const std::uint64_t unwanted = to_bits(expected);
    expected = from_bits(engine->load(location, access.failure, &unwanted));
    engine->note(to_bits(expected));
    return false;
  }
  bool compare_exchange_strong(T& expected, T desired,
                               std::memory_order order = std::memory_order_seq_cst,
                               Place place = Place::current()) noexcept {
    const auto failure = order == std::memory_order_acq_rel   ? std::memory_order_acquire
                         : order == std::memory_order_release ? std::memory_order_relaxed
                                                              : order;
    return compare_exchange_strong(expected, desired, order, failure, place);
  }
  bool compare_exchange_weak(T& expected, T desired, std::memory_order success,
                             std::memory_order failure, Place place = Place::current()) noexcept {
    return compare_exchange_strong(expected, desired, success, failure, place);
  }
  bool compare_exchange_weak(T& expected, T desired,
                             std::memory_order order = std::memory_order_seq_cst,
                             Place place = Place::current()) noexcept {
    return compare_exchange_strong(expected, desired, order, place);
  }
  T fetch_add(T by, std::memory_order order = std::memory_order_seq_cst,
              Place place = Place::current()) noexcept requires std::is_integral_v<T> {
    return modify(Operation::fetch, order, place,
                  [by](T value) { return static_cast<T>(value + by); });
  }
  T fetch_sub(T by, std::memory_order order = std::memory_order_seq_cst,
              Place place = Place::current()) noexcept requires std::is_integral_v<T> {
    return modify(Operation::fetch, order, place,
                  [by](T value) { return static_cast<T>(value - by); });
  }
  T fetch_or(T bits, std::memory_order order = std::memory_order_seq_cst,
             Place place = Place::current()) noexcept requires std::is_integral_v<T> {
    return modify(Operation::fetch, order, place,
                  [bits](T value) { return static_cast<T>(value | bits); });
  }

  // As the kernel sees the word.
  bool futex_holds(T expected) const {
    return from_bits(Engine::current()->newest(locate(*Engine::current()))) == expected;
  }

 private:
  static std::uint64_t to_bits(T value) noexcept {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    return bits;
  }
  static T from_bits(std::uint64_t bits) noexcept {
    T value;
    std::memcpy(static_cast<void*>(&value), &bits, sizeof value);
    return value;
  }
  std::size_t locate(Engine& engine) const {
    if (born_ == dead) engine.fail("an atomic is used after it was destroyed");
    if (execution_ != engine.execution()) {
      execution_ = engine.execution();
      location_ = engine.locate(to_bits(value_));
    }
    return location_;
  }
  template <class F>
  T modify(Operation operation, std::memory_order order, Place place, F change) noexcept {
    Engine* const engine = Engine::current();
    if (engine == nullptr) {
      const T before = value_;
      value_ = change(value_);
      return before;
    }
    const auto access = engine->begin(place, operation, order);
    const std::size_t location = locate(*engine);
    const T before = from_bits(engine->newest(location));
    value_ = access.leave_out ? before : change(before);
    engine->modify(location, to_bits(value_), access.order);
    engine->note(to_bits(value_));
    return before;
  }

  static constexpr std::uint64_t dead = ~std::uint64_t{0};
  void born() noexcept {
    if (Engine* const engine = Engine::current()) {
      engine->born();
      born_ = engine->execution();
    }
  }

  void die() noexcept {
    Engine* const engine = Engine::current();
    if (engine == nullptr || born_ != engine->execution()) return;
    engine->died(execution_ == engine->execution() ? &location_ : nullptr);
    *const_cast<volatile std::uint64_t*>(&born_) = dead;  // as long as the memory is there
  }

  T value_;                 // the newest
  std::uint64_t born_ = 0;  // in which execution
  mutable std::uint64_t execution_ = 0;
  mutable std::size_t location_ = 0;
};

/// A variable that is not atomic: two accesses of which one writes must be ordered by what the
/// threads know of each other.
template <class T>
class plain {
 public:
  plain() = default;
  explicit plain(T value) : value_(std::move(value)) { wrote(); }
  plain(const plain& other) : value_(other.get()) { wrote(); }
  plain(plain&& other) noexcept : value_(other.get()) { wrote(); }
  plain& operator=(const plain& other) {
    set(other.get());
    return *this;
  }
  plain& operator=(T value) {
    set(std::move(value));
    return *this;
  }
  operator const T&() const { return get(); }  // NOLINT: stands for a T
  ~plain() {
    check(true);
    writer_ = max_threads;
  }
  const T& get() const {
    check(false);
    if (Engine* const engine = Engine::current()) {
      refresh(*engine);
      const std::size_t self = engine->thread_number();
      reads_[self] = engine->view().clock[self];
    }
    return value_;
  }
  void set(T value) {
    check(true);
    value_ = std::move(value);
    wrote();
  }

 private:
  void refresh(const Engine& engine) const {
    if (execution_ == engine.execution()) return;
    execution_ = engine.execution();
    writer_ = max_threads;
    reads_ = {};
  }
  void wrote() {
    if (Engine* const engine = Engine::current()) {
      refresh(*engine);
      writer_ = engine->thread_number();
      written_ = engine->view().clock[writer_];
    }
  }
  void check(bool writes) const {
    Engine* const engine = Engine::current();
    if (engine == nullptr) return;
    refresh(*engine);
    const View& view = engine->view();
    if (writer_ != max_threads && view.clock[writer_] < written_) {
      engine->fail(writes ? "a race: a write, and a write that does not know of it"
                          : "a race: a write, and a read that does not know of it");
    }
    if (!writes) return;
    for (std::size_t thread = 0; thread < max_threads; ++thread) {
      if (view.clock[thread] < reads_[thread]) {
        engine->fail("a race: a read, and a write that does not know of it");
      }
    }
  }

  T value_{};
  mutable std::uint64_t execution_ = 0;
  mutable std::size_t writer_ = max_threads;
  std::uint32_t written_ = 0;
  mutable std::array<std::uint32_t, max_threads> reads_{};
};

class mutex {
 public:
  mutex() = default;
  mutex(const mutex&) = delete;
  mutex& operator=(const mutex&) = delete;

  void lock(std::source_location place = std::source_location::current()) {
    Engine* const engine = Engine::current();
    if (engine == nullptr) return;
    engine->step();
    refresh(*engine);
    while (locked_) engine->block(this, place);
    locked_ = true;
    engine->view().join(view_);
  }
  bool try_lock() {
    Engine* const engine = Engine::current();
    if (engine == nullptr) return true;
    engine->step();
    refresh(*engine);
    if (locked_) return false;
    locked_ = true;
    engine->view().join(view_);
    return true;
  }
  void unlock() {
    Engine* const engine = Engine::current();
    if (engine == nullptr) return;
    view_ = engine->view();
    engine->next_moment();
    locked_ = false;
    engine->unblock(this, max_threads);
  }

 private:
  void refresh(const Engine& engine) {
    if (execution_ == engine.execution()) return;
    execution_ = engine.execution();
    locked_ = false;
    view_ = {};
  }

  bool locked_ = false;
  View view_{};
  std::uint64_t execution_ = 0;
};

class thread {
 public:
  using id = std::thread::id;
  thread() = default;
  template <class F, class... Args>
  requires(!std::is_same_v<std::remove_cvref_t<F>, thread>) explicit thread(F&& life,
                                                                            Args&&... args)
      : joinable_(true),
        number_(Engine::current()->start(
            [life = std::forward<F>(life), args = std::make_tuple(std::forward<Args>(
                                               args)...)]() mutable { std::apply(life, args); })) {}
  thread(thread&& other) noexcept
      : joinable_(std::exchange(other.joinable_, false)), number_(other.number_) {}
  thread& operator=(thread&& other) noexcept {
    require(!joinable_, "a thread is overwritten that was neither joined nor detached");
    joinable_ = std::exchange(other.joinable_, false);
    number_ = other.number_;
    return *this;
  }
  ~thread() {
    if (joinable_) require(false, "a thread is destroyed that was neither joined nor detached");
  }
  [[nodiscard]] bool joinable() const { return joinable_; }
  void join(std::source_location place = std::source_location::current()) {
    Engine& engine = *Engine::current();
    engine.step();
    while (!engine.finished(number_)) engine.block(engine.end_of(number_), place);
    engine.view().join(engine.view_of(number_));
    joinable_ = false;
  }
  void detach() { joinable_ = false; }

 private:
  bool joinable_ = false;
  std::size_t number_ = 0;
};

inline void futex_wait(const atomic<std::uint32_t>& word, std::uint32_t expected,
                       const std::source_location& place) {
  Engine& engine = *Engine::current();
  engine.step();
  if (word.futex_holds(expected)) engine.block(&word, place);
}
inline void futex_wake(const atomic<std::uint32_t>& word, std::size_t at_most,
                       const std::source_location& place) {
  Engine& engine = *Engine::current();
  const auto access = engine.begin(place, Operation::futex_wake, std::memory_order_relaxed);
  if (!access.leave_out) engine.note(engine.unblock(&word, at_most));
}

// Implementation

inline Result Engine::run() {
  const OneProcessor one_processor;
  Result result;
  do {
    execute();
    ++result.executions;
  } while (!failed_ && result.executions < options_.executions && next_execution());
  result.failed = failed_;
  result.what = what_;
  result.complete = !failed_ && options_.seed == 0 && trail_.empty();
  for (auto& [key, site] : sites_) result.sites.push_back(site);
  if (!failed_) stop_threads();
  return result;
}

inline bool Engine::next_execution() {
  if (options_.seed != 0) {
    trail_.clear();
    return true;
  }
  while (!trail_.empty() && trail_.back().taken + 1 >= trail_.back().count) trail_.pop_back();
  if (trail_.empty()) return false;
  ++trail_.back().taken;
  return true;
}

inline void Engine::execute() {
  execution_ = 1 + executions_.fetch_add(1, std::memory_order_relaxed);
  used_ = 0;
  locations_.clear();
  position_ = 0;
  steps_ = 0;
  living_ = 0;
  preemptions_left_ = options_.preemptions;
  stale_reads_left_ = options_.stale_reads;
  trace_.clear();
  over_.store(0, std::memory_order_relaxed);
  start(body_);
  pass_to(*threads_[0]);
  while (over_.load(std::memory_order_acquire) == 0) over_.wait(0);
}

inline std::uint32_t Engine::choose(std::uint32_t count, std::uint32_t one_in) {
  if (count <= 1) return 0;
  if (position_ == trail_.size()) {
    std::uint32_t taken = 0;
    if (options_.seed != 0 && random_() % one_in == 0) {
      taken = static_cast<std::uint32_t>(random_() % count);
    }
    trail_.push_back({taken, count});
  }
  if (trail_[position_].count != count) {
    fail("the body did something else in the same execution: does it depend on addresses?");
  }
  return trail_[position_++].taken;
}

inline Engine::Thread* Engine::pick(bool can_go_on) {
  std::array<Thread*, max_threads> candidates{};
  std::uint32_t count = 0;
  if (can_go_on) candidates[count++] = self_;
  for (std::size_t i = 0; i < used_; ++i) {
    Thread* const other = threads_[i].get();
    if (other->state != State::runnable || other->yielded || (can_go_on && other == self_))
      continue;
    candidates[count++] = other;
  }
  if (count == 0) {  // only those that wait for others: in turn
    for (std::size_t i = 1; i <= used_; ++i) {
      Thread* const other = threads_[(self_->number + i) % used_].get();
      if (other->state == State::runnable) return other;
    }
    return nullptr;
  }
  if (!can_go_on) return candidates[choose(count, 1)];
  if (preemptions_left_ == 0) return self_;
  Thread* const chosen = candidates[choose(count, 6)];
  if (chosen != self_) --preemptions_left_;
  return chosen;
}

inline void Engine::step() {
  if (++steps_ > 20'000) fail("livelock: the threads go on and on");
  for (std::size_t i = 0; i < used_; ++i) threads_[i]->yielded = false;
  Thread* const next = pick(true);
  if (next != self_) {
    pass_to(*next);
    wait_for_baton();
  }
}

inline void Engine::yield() {
  if (++steps_ > 20'000) fail("livelock: the threads go on and on");
  self_->yielded = true;
  Thread* const next = pick(false);
  if (next != self_) {
    pass_to(*next);
    wait_for_baton();
  }
  self_->yielded = false;
}

inline void Engine::block(const void* on, const std::source_location& place) {
  self_->state = State::blocked;
  self_->blocked_on = on;
  self_->blocked_at = place;
  for (std::size_t i = 0; i < used_; ++i) threads_[i]->yielded = false;
  Thread* const next = pick(false);
  if (next == nullptr) fail("deadlock: every thread waits");
  pass_to(*next);
  wait_for_baton();
}

inline std::size_t Engine::unblock(const void* on, std::size_t at_most) {
  std::size_t woken = 0;
  for (std::size_t i = 0; i < used_ && woken < at_most; ++i) {
    Thread& thread = *threads_[i];
    if (thread.state != State::blocked || thread.blocked_on != on) continue;
    thread.state = State::runnable;
    thread.blocked_on = nullptr;
    ++woken;
  }
  return woken;
}

inline std::size_t Engine::start(std::function<void()> life) {
  if (used_ == max_threads) fail("more threads than the model has room for");
  if (used_ == threads_.size()) {
    auto made = std::make_unique<Thread>();
    made->engine = this;
    made->number = used_;
    Thread* const raw = made.get();
    threads_.push_back(std::move(made));
    raw->thread = std::thread([this, raw] { main_of(*raw); });
  }
  Thread& thread = *threads_[used_++];
  thread.state = State::runnable;
  thread.yielded = false;
  thread.blocked_on = nullptr;
  thread.life = std::move(life);
  thread.view = self_ != nullptr ? self_->view : View{};
  thread.view.clock[thread.number] = 1;
  if (self_ != nullptr) next_moment();
  return thread.number;
}

inline void Engine::main_of(Thread& thread) {
  self_ = &thread;
  for (;;) {
    wait_for_baton();
    if (thread.leave) return;
    try {
      thread.life();
      thread.life = nullptr;
    } catch (const std::exception& exception) {
      fail(std::string("an exception: ") + exception.what());
    } catch (...) {
      fail("an exception");
    }
    leave_thread();
  }
}

inline void Engine::leave_thread() {
  self_->state = State::finished;
  unblock(self_, max_threads);
  Thread* const next = pick(false);
  if (next != nullptr) {
    pass_to(*next);
    return;
  }
  for (std::size_t i = 0; i < used_; ++i) {
    if (threads_[i]->state != State::finished) fail("deadlock: every thread waits");
  }
  if (living_ != 0) fail("a leak: " + std::to_string(living_) + " atomics were never destroyed");
  over_.store(1, std::memory_order_release);
  over_.notify_one();
}

inline void Engine::pass_to(Thread& next) {
  next.baton.store(1, std::memory_order_release);
  next.baton.notify_one();
}

inline void Engine::wait_for_baton() {
  while (self_->baton.load(std::memory_order_acquire) == 0) self_->baton.wait(0);
  self_->baton.store(0, std::memory_order_relaxed);
}

inline void Engine::stop_threads() {
  for (auto& thread : threads_) {
    thread->leave = true;
    pass_to(*thread);
    thread->thread.join();
  }
}

[[noreturn]] inline void Engine::fail(const std::string& what) {
  failed_ = true;
  what_ = what + "\n" + story();
  for (auto& thread : threads_) thread->thread.detach();
  over_.store(1, std::memory_order_release);
  over_.notify_one();
  for (;;) wait_for_baton();  // which never comes
}

inline std::string Engine::story() const {
  std::string text;
  const std::size_t first = trace_.size() > 400 ? trace_.size() - 400 : 0;
  for (std::size_t i = first; i < trace_.size(); ++i) {
    const Event& event = trace_[i];
    text += "  thread " + std::to_string(event.thread) + ": " + function_of(event.place) + ":" +
            std::to_string(event.place.line()) + " " + name_of(event.operation) + " " +
            name_of(event.order) + " -> " + std::to_string(event.value) + "\n";
  }
  for (std::size_t i = 0; i < used_; ++i) {
    if (threads_[i]->state != State::blocked) continue;
    text += "  thread " + std::to_string(i) + " waits in " + function_of(threads_[i]->blocked_at) +
            ":" + std::to_string(threads_[i]->blocked_at.line()) + "\n";
  }
  return text;
}

inline Engine::Access Engine::begin(const std::source_location& place, Operation operation,
                                    std::memory_order order, std::memory_order failure) {
  step();
  auto [at, is_new] =
      sites_.try_emplace({place.file_name(), place.line(), place.column(), operation});
  if (is_new) {
    at->second = Site{place.file_name(), place.line(), place.column(), function_of(place),
                      operation,         order,        failure};
  }
  Access access{order, failure, false};
  if (options_.mutation.change != Change::none && options_.mutation.site.is(place, operation)) {
    switch (options_.mutation.change) {
      case Change::weaken:
        if (order == std::memory_order_seq_cst) {
          access.order = operation == Operation::load    ? std::memory_order_acquire
                         : operation == Operation::store ? std::memory_order_release
                                                         : std::memory_order_acq_rel;
        } else if (order == std::memory_order_acq_rel) {
          access.order = std::memory_order_acquire;
        } else {
          access.order = std::memory_order_relaxed;
        }
        break;
      case Change::weaken_acquire:
        access.order = std::memory_order_release;
        break;
      case Change::weaken_failure:
        access.failure = std::memory_order_relaxed;
        break;
      case Change::leave_out:
        access.leave_out = true;
        break;
      case Change::none:
        break;
    }
  }
  trace_.push_back({self_->number, place, operation, access.order, 0});
  return access;
}

inline std::size_t Engine::locate(std::uint64_t initial) {
  locations_.push_back({{{initial, View{}}}, 0, {}});
  return locations_.size() - 1;
}

inline void Engine::died(const std::size_t* location) {
  if (living_ != 0) --living_;
  if (location == nullptr) return;
  const Location& at = locations_[*location];
  for (std::size_t thread = 0; thread < max_threads; ++thread) {
    if (self_->view.clock[thread] < at.accesses[thread]) {
      fail("a race: an atomic is destroyed by a thread that does not know of an access to it");
    }
  }
}

inline std::uint64_t Engine::load(std::size_t location, std::memory_order order,
                                  const std::uint64_t* unwanted) {
  Location& at = access(location);
  const auto newest = static_cast<std::uint32_t>(at.history.size() - 1);
  const std::uint32_t oldest = oldest_of(location, order);
  std::uint32_t index = newest;
  if (stale_reads_left_ > 0) {
    index -= choose(newest - oldest + 1, 3);
    if (unwanted != nullptr && at.history[index].value == *unwanted) index = newest;
    if (index != newest) --stale_reads_left_;
  }
  return read(location, index, order);
}

inline std::optional<std::uint64_t> Engine::load_older(std::size_t location,
                                                       std::memory_order order,
                                                       std::uint64_t unwanted) {
  if (!options_.stale_failures || stale_reads_left_ == 0) return std::nullopt;
  Location& at = access(location);
  const auto newest = static_cast<std::uint32_t>(at.history.size() - 1);
  const std::uint32_t index = newest - choose(newest - oldest_of(location, order) + 1, 3);
  if (at.history[index].value == unwanted) return std::nullopt;
  --stale_reads_left_;
  return read(location, index, order);
}

inline void Engine::store(std::size_t location, std::uint64_t value, std::memory_order order) {
  Location& at = access(location);
  const auto index = static_cast<std::uint32_t>(at.history.size());
  self_->view.see(location, index);
  at.history.push_back({value, releases(order) ? self_->view : View{}});
  next_moment();
  if (order == std::memory_order_seq_cst) at.newest_seq_cst = index;
}

inline void Engine::modify(std::size_t location, std::uint64_t value, std::memory_order order) {
  Location& at = access(location);
  const auto index = static_cast<std::uint32_t>(at.history.size());
  View carried = at.history.back().view;  // a read-modify-write continues a release sequence
  self_->view.see(location, index);
  if (acquires(order)) self_->view.join(carried);
  if (releases(order)) carried.join(self_->view);
  at.history.push_back({value, std::move(carried)});
  next_moment();
  if (order == std::memory_order_seq_cst) at.newest_seq_cst = index;
}

}  // namespace model
