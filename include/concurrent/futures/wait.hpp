// SPDX-License-Identifier: MIT
#pragma once

// Waiting for several futures at once. Counterpart: wait and as_completed of concurrent.futures.

#include <concurrent/detail/standard.hpp>
#include <concurrent/futures/detail/completions.hpp>
#include <concurrent/futures/detail/distinct.hpp>
#include <concurrent/futures/errors.hpp>
#include <concurrent/futures/future.hpp>
#include <concurrent/futures/timeout.hpp>
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace concurrent::futures {

/// When wait() returns.
enum class ReturnWhen { first_completed, first_exception, all_completed };

inline constexpr ReturnWhen FIRST_COMPLETED = ReturnWhen::first_completed;
inline constexpr ReturnWhen FIRST_EXCEPTION = ReturnWhen::first_exception;
inline constexpr ReturnWhen ALL_COMPLETED = ReturnWhen::all_completed;

struct WaitOptions {
  Timeout timeout{};
  ReturnWhen return_when = ALL_COMPLETED;
};

/// What wait() gives: every future once, in the order given.
template <class T>
struct WaitResult {
  std::vector<Future<T>> done;
  std::vector<Future<T>> not_done;
};

/// A range whose elements are futures.
template <class Range>
concept range_of_futures = requires(Range& range) {
  std::begin(range);
  std::end(range);
  requires detail::is_future<std::remove_cvref_t<decltype(*std::begin(range))>>;
};

namespace detail {
/// What the futures of a range hold. Of other ranges too, so that a return type does not fail
/// before the constraint, which says it in words.
template <class Range>
struct Awaited {
  using type = void;
};
template <range_of_futures Range>
struct Awaited<Range> {
  using type =
      typename std::remove_cvref_t<decltype(*std::begin(std::declval<Range&>()))>::value_type;
};
template <class Range>
using awaited_t = typename Awaited<Range>::type;
}  // namespace detail

/// Waits until all futures are done, or one, or one with an exception (then also when all are
/// done), or until the timeout. Never throws for what the tasks threw. Duplicates count once.
///
/// **Blocking** as Future::result; in a worker, tasks of its own pool that nobody has begun are run
/// here. **Complexity** O(n) in all; ALL_COMPLETED allocates only the result.
/// **Python** concurrent.futures.wait, with vectors in the order given instead of sets.
template <range_of_futures Range>
auto wait(Range&& futures, WaitOptions options = {}) -> WaitResult<detail::awaited_t<Range>>;

/// The futures of a set in the order in which they are done. An input range, to be run through
/// once.
///
/// **Thread safety** one thread at a time.
template <class T>
class [[nodiscard]] AsCompleted {
 public:
  class Iterator {
   public:
    using value_type = Future<T>;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    explicit Iterator(AsCompleted& range) : range_(&range) {}
    Future<T>& operator*() const { return range_->current_; }
    Future<T>* operator->() const { return &range_->current_; }
    /// Waits for the next one. @throws TimeoutError
    Iterator& operator++() {
      range_->advance();
      return *this;
    }
    void operator++(int) { range_->advance(); }
    friend bool operator==(const Iterator& at, std::default_sentinel_t) { return at.at_end(); }

   private:
    [[nodiscard]] bool at_end() const { return !range_->has_current_; }
    AsCompleted* range_;
  };

  AsCompleted(std::vector<Future<T>> futures, Timeout timeout);
  AsCompleted(AsCompleted&& other) noexcept
      : deadline_(other.deadline_),
        total_(other.total_),
        completions_(std::exchange(other.completions_, nullptr)),
        current_(std::move(other.current_)),
        has_current_(other.has_current_),
        begun_(other.begun_) {}
  AsCompleted& operator=(AsCompleted&&) = delete;
  ~AsCompleted() {
    if (completions_ != nullptr) completions_->close();
  }

  /// Waits for the first one. @throws TimeoutError
  Iterator begin() {
    if (!std::exchange(begun_, true)) advance();
    return Iterator(*this);
  }
  std::default_sentinel_t end() const { return {}; }

 private:
  void advance();

  concurrent::detail::Deadline deadline_;
  std::size_t total_;
  detail::Completions* completions_;
  Future<T> current_ = detail::FutureAccess::adopt<T>(nullptr);  // no outcome is kept once left
  bool has_current_ = false;
  bool begun_ = false;
};

/// The futures as they are done, those first that are done already. Duplicates come once. What was
/// given is not kept once the next one is asked for.
///
/// @throws TimeoutError from begin or ++ when the time, counted from this call, is over: "2 (of 4)
/// futures unfinished". **Blocking** begin and ++, as Future::result; in a worker, tasks of its own
/// pool that nobody has begun are run here. **Complexity** O(n) in all, 32 bytes a future.
/// **Python** concurrent.futures.as_completed
/// **Example** `for (auto& future : as_completed(futures)) use(future.result());`
template <range_of_futures Range>
auto as_completed(Range&& futures, Timeout timeout = {}) -> AsCompleted<detail::awaited_t<Range>> {
  return {detail::distinct_futures<detail::awaited_t<Range>>(futures), timeout};
}

// Implementation

namespace detail {

/// Sleeps until one future is done that `is_enough`, or all are.
template <class T, class Enough>
void wait_for_one(const std::vector<Future<T>>& futures, Deadline deadline, Enough is_enough) {
  for (const Future<T>& future : futures) {
    if (is_enough(FutureAccess::state(future).phase())) return;
  }
  Completions* const completions = Completions::make(futures.size());
  for (const Future<T>& future : futures) {
    State<T>& state = FutureAccess::state(future);
    state.add_reference();
    completions->add(&state);
  }
  while (StateBase* const state = completions->next(deadline)) {
    const Phase phase = state->phase();
    state->release();
    if (is_enough(phase)) break;
  }
  completions->close();
}

/// Sleeps until every future is done: no entries, no allocation, and since the last one is asked
/// first, the others are mostly done by then.
template <class T>
void wait_for_all(const std::vector<Future<T>>& futures, Deadline deadline) {
  bool more_later = false;
  if (current_helper != nullptr) {
    for (const Future<T>& future : futures) {
      StateBase& state = FutureAccess::state(future);
      Help help = Help::ran;
      while (!state.done() && !deadline.passed() && help == Help::ran) {
        help = current_helper->run_one_for(state);
      }
      more_later = more_later || help == Help::later;
    }
  }
  if (more_later) {
    // Another of them may have to be run by this worker before the last one can be done.
    wait_for_one(futures, deadline, [](Phase) { return false; });
    return;
  }
  for (auto future = futures.rbegin(); future != futures.rend(); ++future) {
    if (!wait_for(FutureAccess::state(*future), deadline)) return;
  }
}

}  // namespace detail

template <range_of_futures Range>
auto wait(Range&& futures, WaitOptions options) -> WaitResult<detail::awaited_t<Range>> {
  using T = detail::awaited_t<Range>;
  const auto deadline = options.timeout.deadline();
  std::vector<Future<T>> all = detail::distinct_futures<T>(futures);
  switch (options.return_when) {
    case ReturnWhen::all_completed:
      detail::wait_for_all(all, deadline);
      break;
    case ReturnWhen::first_completed:
      detail::wait_for_one(all, deadline, [](detail::Phase phase) { return is_done(phase); });
      break;
    case ReturnWhen::first_exception:
      detail::wait_for_one(all, deadline,
                           [](detail::Phase phase) { return phase == detail::Phase::error; });
      break;
  }
  WaitResult<T> result;
  result.done.reserve(all.size());
  for (Future<T>& future : all) {
    (future.done() ? result.done : result.not_done).push_back(std::move(future));
  }
  return result;
}

template <class T>
AsCompleted<T>::AsCompleted(std::vector<Future<T>> futures, Timeout timeout)
    : deadline_(timeout.deadline()),
      total_(futures.size()),
      completions_(detail::Completions::make(futures.size())) {
  for (Future<T>& future : futures) {
    completions_->add(detail::FutureAccess::detach(std::move(future)));
  }
}

template <class T>
void AsCompleted<T>::advance() {
  current_ = detail::FutureAccess::adopt<T>(nullptr);
  has_current_ = false;
  if (completions_->left() == 0) return;
  detail::StateBase* const state = completions_->next(deadline_);
  if (state == nullptr) {
    throw TimeoutError(std::to_string(completions_->left()) + " (of " + std::to_string(total_) +
                       ") futures unfinished");
  }
  current_ = detail::FutureAccess::adopt(static_cast<detail::State<T>*>(state));
  has_current_ = true;
}

}  // namespace concurrent::futures
