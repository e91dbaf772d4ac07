// SPDX-License-Identifier: MIT
#pragma once

// What map returns. Counterpart: the generator that Executor.map returns.

#include <concurrent/detail/standard.hpp>
#include <concurrent/futures/detail/map_feeder.hpp>
#include <concurrent/futures/errors.hpp>
#include <concurrent/futures/future.hpp>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

namespace concurrent::futures {

template <class Derived>
class ExecutorInterface;

/// The results of a map, in the order of the input: an input range, to be run through once.
///
/// Elements are `R&` (move from them freely: nothing is kept once the next one is asked for), and
/// `const Done&` where the callable returns void.
///
/// **Thread safety** one thread at a time.
/// **Example** `for (int& square : executor.map(square_of, numbers)) sum += square;`
template <class R>
class [[nodiscard("a map whose results are not looked at hides its exceptions")]] MapResult {
 public:
  struct Done {};  // what stands for void
  using value_type = std::conditional_t<std::is_void_v<R>, Done, std::remove_cvref_t<R>>;
  using reference = std::conditional_t<
      std::is_void_v<R>, const Done&,
      std::conditional_t<std::is_reference_v<R>, R, std::add_lvalue_reference_t<R>>>;

  class Iterator {
   public:
    using value_type = MapResult::value_type;
    using difference_type = std::ptrdiff_t;
    using iterator_concept = std::input_iterator_tag;

    explicit Iterator(MapResult& range) : range_(&range) {}
    /// Waits for the element. @throws what its call threw; TimeoutError; CancelledError.
    reference operator*() const { return range_->current(); }
    /// Leaves the element, whether it was looked at or threw or neither.
    Iterator& operator++() {
      range_->advance();
      return *this;
    }
    void operator++(int) { range_->advance(); }
    friend bool operator==(const Iterator& at, std::default_sentinel_t) { return at.at_end(); }

   private:
    [[nodiscard]] bool at_end() const { return range_->exhausted(); }
    MapResult* range_;
  };

  MapResult(MapResult &&) noexcept = default;
  MapResult& operator=(MapResult&&) = delete;
  /// Cancels what has not started, if the iteration was begun.
  ~MapResult();

  Iterator begin() {
    begun_ = true;
    return Iterator(*this);
  }
  std::default_sentinel_t end() const { return {}; }

  /// All results. @throws what the first failing element threw; later ones are then cancelled where
  /// they have not started, as in `list(executor.map(...))`.
  auto to_vector() && requires(!std::is_reference_v<R>);

  /// Waits for all elements and drops their results. @throws what the first failing element threw.
  void wait()&& {
    for (auto at = begin(); at != end(); ++at) static_cast<void>(*at);
  }

 private:
  template <class Derived>
  friend class ExecutorInterface;
  using Ticket = detail::MapTicket<R>;

  MapResult(std::unique_ptr<detail::MapFeederBase<R>> feeder, detail::Deadline deadline,
            std::size_t chunksize, std::size_t buffersize);

  bool feed();
  reference current();
  void advance();
  void load();
  [[nodiscard]] bool exhausted() const { return next_ == tickets_.size(); }
  [[nodiscard]] Timeout time_left() const;
  template <class Stored>
  static reference lend(Stored & stored);

  std::unique_ptr<detail::MapFeederBase<R>> feeder_;  // null once nothing is left to submit
  detail::Deadline deadline_;
  std::size_t chunksize_;
  std::vector<Ticket> tickets_;  // those before next_ are empty
  std::size_t next_ = 0;
  detail::MapOutcomes<R> outcomes_;  // of the chunk at next_, once it was waited for
  std::size_t offset_ = 0;           // in the chunk at next_
  bool loaded_ = false;
  bool begun_ = false;
};

// Implementation

template <class R>
MapResult<R>::MapResult(std::unique_ptr<detail::MapFeederBase<R>> feeder, detail::Deadline deadline,
                        std::size_t chunksize, std::size_t buffersize)
    : feeder_(std::move(feeder)), deadline_(deadline), chunksize_(chunksize) {
  constexpr std::size_t enough_tasks = 4096;
  const auto size = feeder_->size();
  if (chunksize_ == 0) {
    chunksize_ = buffersize == 0 && size ? (*size + enough_tasks - 1) / enough_tasks : 1;
    if (chunksize_ == 0) chunksize_ = 1;
  }
  if (buffersize == 0) {
    if (size) tickets_.reserve((*size + chunksize_ - 1) / chunksize_);
    while (feed()) {
    }
    return;
  }
  while (tickets_.size() < buffersize && feed()) {
  }
}

template <class R>
MapResult<R>::~MapResult() {
  if (!begun_) return;
  for (std::size_t i = next_; i < tickets_.size(); ++i) {
    Ticket& ticket = tickets_[i];
    if (detail::FutureAccess::peek(ticket.single) != nullptr) ticket.single.cancel();
    if (detail::FutureAccess::peek(ticket.chunk) != nullptr) ticket.chunk.cancel();
  }
}

/// Submits one more task; false when nothing is left.
template <class R>
bool MapResult<R>::feed() {
  if (feeder_ == nullptr) return false;
  tickets_.emplace_back();
  bool fed = false;
  try {
    fed = feeder_->submit(chunksize_, tickets_.back());
  } catch (...) {
    tickets_.pop_back();
    throw;
  }
  if (fed) return true;
  tickets_.pop_back();
  feeder_.reset();
  return false;
}

template <class R>
Timeout MapResult<R>::time_left() const {
  if (deadline_.never()) return {};
  return deadline_.at() - detail::Deadline::Clock::now();
}

template <class R>
template <class Stored>
auto MapResult<R>::lend(Stored& stored) -> reference {
  if constexpr (std::is_void_v<R>) {
    static constexpr Done done{};
    return done;
  } else if constexpr (std::is_reference_v<R>) {
    return *stored;
  } else {
    return stored;
  }
}

/// Waits for the outcomes of the chunk at next_, and takes them.
template <class R>
void MapResult<R>::load() {
  if (loaded_) return;
  // Moved out of a named handle, since a chunk that failed as a whole throws for each element.
  Future<detail::MapOutcomes<R>> chunk = tickets_[next_].chunk;
  outcomes_ = std::move(chunk).result(time_left());
  loaded_ = true;
}

template <class R>
auto MapResult<R>::current() -> reference {
  Ticket& ticket = tickets_[next_];
  if (detail::FutureAccess::peek(ticket.chunk) == nullptr) {
    if constexpr (std::is_void_v<R>) {
      ticket.single.result(time_left());
      return lend(ticket);
    } else {
      static_cast<void>(ticket.single.result(time_left()));
      return lend(detail::FutureAccess::state(ticket.single).value());
    }
  }
  load();
  detail::MapOutcome<R>& outcome = outcomes_[offset_];
  if (outcome.error) std::rethrow_exception(outcome.error);
  return lend(*outcome.value);
}

template <class R>
void MapResult<R>::advance() {
  Ticket& ticket = tickets_[next_];
  if (++offset_ < ticket.count) return;
  offset_ = 0;
  outcomes_.clear();
  loaded_ = false;
  ticket = Ticket();
  ++next_;
  if (feeder_ == nullptr) return;
  if (next_ > 64 && next_ > tickets_.size() / 2) {
    tickets_.erase(tickets_.begin(), tickets_.begin() + static_cast<std::ptrdiff_t>(next_));
    next_ = 0;
  }
  feed();
}

template <class R>
    auto MapResult<R>::to_vector() && requires(!std::is_reference_v<R>) {
  std::vector<value_type> results;
  for (auto at = begin(); at != end(); ++at) {
    if constexpr (std::is_void_v<R>) {
      static_cast<void>(*at);
      results.emplace_back();
    } else {
      results.push_back(std::move(*at));
    }
  }
  return results;
}

}  // namespace concurrent::futures
