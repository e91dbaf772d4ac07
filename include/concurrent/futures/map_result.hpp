// SPDX-License-Identifier: MIT
#pragma once

// What map returns. Counterpart: the generator that Executor.map returns.

#include <concurrent/detail/os/huge_pages.hpp>
#include <concurrent/detail/sanitizers.hpp>
#include <concurrent/detail/standard.hpp>
#include <concurrent/futures/detail/map_feeder.hpp>
#include <concurrent/futures/detail/map_task.hpp>
#include <concurrent/futures/errors.hpp>
#include <concurrent/futures/future.hpp>
#include <cstddef>
#include <stdexcept>
#include <string>
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
  /// Cancels what has not started, if the iteration was begun. **Blocking** if a view is read where
  /// it lies: until nobody reads it any more.
  ~MapResult();

  Iterator begin() {
    begun_ = true;
    if constexpr (detail::can_be_delivered<R>) {
      if (destination_) destination_->will_not_be_set();
    }
    return Iterator(*this);
  }
  std::default_sentinel_t end() const { return {}; }

  /// All results. @throws what the first failing element threw; later ones are then cancelled where
  /// they have not started, as in `list(executor.map(...))`. So that quick elements cost no wake-up
  /// each, that may be noticed late by 1 ms or an eighth of the time passed (move_to, wait, too).
  auto to_vector() && requires(!std::is_reference_v<R>);

  /// Moves all results into `out`, from its begin on. Where that is contiguous memory, and the map
  /// reads its input in place, workers write numbers and the like there themselves, and nothing is
  /// moved: the fastest way to map one array to another.
  /// @throws std::length_error when `out` has less room than there are results (of an input whose
  /// size is known), before anything is written; what the first failing element threw. Later ones
  /// are then cancelled where they have not started, and nobody writes to `out` any more.
  template <detail::Takes<value_type> Out>
  requires(!std::is_void_v<R>) void move_to(Out && out)&& { move_all_to(out); }

  /// Waits for all elements and drops their results. @throws what the first failing element threw.
  void wait()&& {
    static_cast<void>(begin());
    for_each_run([](Stored*, Stored*) {});
  }

 private:
  template <class Derived>
  friend class ExecutorInterface;
  using Ticket = detail::MapTicket<R>;
  using Stored = typename detail::State<R>::Stored;

  MapResult(std::unique_ptr<detail::MapFeederBase<R>> feeder, detail::Deadline deadline,
            std::size_t chunksize, std::size_t buffersize);

  static std::size_t choose_chunksize(std::size_t size, std::size_t enough_chunks);
  template <class Out>
  void move_all_to(Out & out);
  bool feed();
  reference current() {
    if (at_ == run_end_) load();
    return lend(*at_);
  }
  void advance() {
    if (at_ != run_end_) {
      if (++at_ == run_end_) end_run();
    } else {
      skip();
    }
  }
  [[nodiscard]] bool exhausted() const { return at_ == run_end_ && next_ == tickets_.size(); }

  void load();
  void load_chunk();
  void open_run();
  void end_run();
  void skip();
  void next_ticket();
  template <class Consume>
  void for_each_run(Consume consume);
  [[nodiscard]] std::size_t count_left() const;
  static detail::StateBase& state_of(const Ticket& ticket);
  void wait_together(std::size_t tasks, std::chrono::microseconds moment);
  void wait_for_many(detail::Deadline::Clock::time_point begin);
  [[nodiscard]] bool can_receive() const;
  void receive(Stored * out);
  void cancel_rest() noexcept;
  void wait_for_chunk(const Ticket& ticket) noexcept;
  void wait_for_chunks() noexcept;
  [[nodiscard]] Timeout time_left() const;
  static reference lend(Stored & stored);

  std::unique_ptr<detail::MapFeederBase<R>> feeder_;  // null once nothing is left to submit
  detail::Deadline deadline_;
  bool chunksize_chosen_ = false;  // by the library
  bool begun_ = false;
  bool loaded_ = false;    // outcomes_ are those of the chunk at next_
  bool in_place_ = false;  // chunks read the ranges, and perhaps write to the destination
  std::size_t chunksize_;
  [[no_unique_address]] detail::MapDestinationRef<R> destination_;
  std::vector<Ticket> tickets_;  // those before next_ are empty
  std::size_t next_ = 0;
  detail::MapOutcomes<R> outcomes_;
  std::size_t offset_ = 0;       // in the chunk at next_: where the run begins or, without one, is
  std::size_t errors_left_ = 0;  // in outcomes_.errors, behind offset_
  // The values from here to the next exception, or the end of the chunk.
  Stored* at_ = nullptr;
  Stored* run_end_ = nullptr;
};

// Implementation

template <class R>
MapResult<R>::MapResult(std::unique_ptr<detail::MapFeederBase<R>> feeder, detail::Deadline deadline,
                        std::size_t chunksize, std::size_t buffersize)
    : feeder_(std::move(feeder)), deadline_(deadline), chunksize_(chunksize) {
  const auto size = feeder_->size();
  if (chunksize_ == 0) {
    chunksize_chosen_ = true;
    chunksize_ = buffersize == 0 && size ? choose_chunksize(*size, feeder_->enough_chunks()) : 1;
  }
  destination_ = feeder_->destination();
  in_place_ = feeder_->reads_in_place();
  try {
    if (buffersize == 0 && size) tickets_.reserve((*size + chunksize_ - 1) / chunksize_);
    bool more = true;
    while (more && (buffersize == 0 || tickets_.size() < buffersize)) more = feed();
    feeder_->submitted(tickets_.size());
    if (!more) feeder_.reset();
  } catch (...) {
    if (in_place_) {
      cancel_rest();
      wait_for_chunks();
    }
    throw;
  }
}

template <class R>
std::size_t MapResult<R>::choose_chunksize(std::size_t size, std::size_t enough_chunks) {
  constexpr std::size_t single_elements = 4096;
  constexpr std::size_t cache_line = 64;  // bytes, and elements that fill whole ones in any case
  if (size <= single_elements) return 1;
  const std::size_t even = (size + enough_chunks - 1) / enough_chunks;
  if (even < 8 * cache_line) return even;
  // Chunks begin as well aligned as the whole: squaring floats from elsewhere takes 3% longer.
  return (even + cache_line - 1) / cache_line * cache_line;
}

template <class R>
MapResult<R>::~MapResult() {
  if (begun_) cancel_rest();
  if (in_place_) wait_for_chunks();
}

template <class R>
void MapResult<R>::cancel_rest() noexcept {
  for (std::size_t i = next_; i < tickets_.size(); ++i) {
    Ticket& ticket = tickets_[i];
    if (detail::FutureAccess::peek(ticket.single) != nullptr) ticket.single.cancel();
    if (detail::FutureAccess::peek(ticket.chunk) != nullptr) ticket.chunk.cancel();
  }
}

template <class R>
void MapResult<R>::wait_for_chunk(const Ticket& ticket) noexcept {
  if (detail::FutureAccess::peek(ticket.chunk) == nullptr) return;
  detail::wait_for(detail::FutureAccess::state(ticket.chunk), {});
}

template <class R>
void MapResult<R>::wait_for_chunks() noexcept {
  for (std::size_t i = next_; i < tickets_.size(); ++i) wait_for_chunk(tickets_[i]);
}

/// Submits one more task; false when nothing is left.
template <class R>
bool MapResult<R>::feed() {
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
  return false;
}

template <class R>
Timeout MapResult<R>::time_left() const {
  if (deadline_.never()) return {};
  return deadline_.at() - detail::Deadline::Clock::now();
}

template <class R>
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

/// Waits for the element and opens the run of values that begins with it. @throws its exception.
template <class R>
void MapResult<R>::load() {
  Ticket& ticket = tickets_[next_];
  if (detail::FutureAccess::peek(ticket.chunk) == nullptr) {
    static_cast<void>(ticket.single.result(time_left()));
    at_ = std::addressof(detail::FutureAccess::state(ticket.single).value());
    run_end_ = at_ + 1;
    return;
  }
  if (!loaded_) load_chunk();
  if (at_ == run_end_) {
    std::rethrow_exception(outcomes_.errors[outcomes_.errors.size() - errors_left_].error);
  }
}

/// Waits for the outcomes of the chunk at next_, and takes them.
template <class R>
void MapResult<R>::load_chunk() {
  if (chunksize_chosen_ && !tickets_[next_].chunk.done()) {
    wait_together(32, std::chrono::microseconds(200));
  }
  // Moved out of a named handle, since a chunk that failed as a whole throws for each element.
  Future<detail::MapOutcomes<R>> chunk = tickets_[next_].chunk;
  outcomes_ = std::move(chunk).result(time_left());
  loaded_ = true;
  errors_left_ = 0;
  for (const detail::MapError& error : outcomes_.errors) errors_left_ += error.index >= offset_;
  open_run();
}

template <class R>
detail::StateBase& MapResult<R>::state_of(const Ticket& ticket) {
  detail::StateBase* const chunk = detail::FutureAccess::peek(ticket.chunk);
  return chunk != nullptr ? *chunk : *detail::FutureAccess::peek(ticket.single);
}

/// Waits for more tasks than the one at next_, but no longer than for a moment, as that one may be
/// the last for long: to be woken up for each costs more than a quick one does.
template <class R>
void MapResult<R>::wait_together(std::size_t tasks, std::chrono::microseconds moment) {
  if (!deadline_.never() || feeder_ != nullptr || detail::current_helper != nullptr) return;
  const std::size_t left = tickets_.size() - 1 - next_;
  state_of(tickets_[next_ + (tasks < left ? tasks : left)])
      .wait(detail::Deadline(detail::Deadline::Clock::now() + moment));
}

/// The same for one who wants all results, since `begin`. A failure, which ends it, is noticed late
/// by an eighth of the time that has passed.
template <class R>
void MapResult<R>::wait_for_many(detail::Deadline::Clock::time_point begin) {
  if (state_of(tickets_[next_]).done()) return;
  constexpr std::chrono::microseconds least(1000);
  const auto passed =
      std::chrono::duration_cast<std::chrono::microseconds>(detail::Deadline::Clock::now() - begin);
  wait_together(256, passed / 8 < least ? least : passed / 8);
}

template <class R>
void MapResult<R>::open_run() {
  const std::size_t past = outcomes_.errors.size() - errors_left_;
  at_ = outcomes_.values.begin() + (offset_ - past);
  run_end_ = errors_left_ == 0 ? outcomes_.values.end()
                               : outcomes_.values.begin() + (outcomes_.errors[past].index - past);
}

template <class R>
void MapResult<R>::end_run() {
  const std::size_t past = outcomes_.errors.size() - errors_left_;
  if (loaded_ && errors_left_ != 0) {
    offset_ = outcomes_.errors[past].index;
  } else {
    next_ticket();
  }
}

/// Leaves an element that failed or was not waited for.
template <class R>
void MapResult<R>::skip() {
  if (++offset_ == tickets_[next_].count) {
    next_ticket();
  } else if (loaded_) {
    --errors_left_;
    open_run();
  }
}

template <class R>
void MapResult<R>::next_ticket() {
  at_ = run_end_ = nullptr;
  offset_ = 0;
  outcomes_ = {};
  if (in_place_ && !loaded_) wait_for_chunk(tickets_[next_]);  // nobody has, and it is let go
  loaded_ = false;
  tickets_[next_] = Ticket();
  ++next_;
  if (feeder_ == nullptr) return;
  if (next_ > 64 && next_ > tickets_.size() / 2) {
    tickets_.erase(tickets_.begin(), tickets_.begin() + static_cast<std::ptrdiff_t>(next_));
    next_ = 0;
  }
  if (!feed()) feeder_.reset();
}

/// Hands over all that is left, run by run.
template <class R>
template <class Consume>
void MapResult<R>::for_each_run(Consume consume) {
  begun_ = true;
  const auto begin = detail::Deadline::Clock::now();
  while (!exhausted()) {
    if (at_ == run_end_) {
      wait_for_many(begin);
      load();
    }
    consume(at_, run_end_);
    at_ = run_end_;
    end_run();
  }
}

template <class R>
    auto MapResult<R>::to_vector() && requires(!std::is_reference_v<R>) {
  std::vector<value_type> results;
  if (feeder_ == nullptr) concurrent::detail::os::reserve_for_filling(results, count_left());
  // AddressSanitizer may say that what is reserved must not be written to.
  if constexpr (detail::can_be_delivered<R> && std::is_trivial_v<R> && !std::is_same_v<R, bool> &&
                !concurrent::detail::under_address_sanitizer) {
    if (can_receive()) {
      const std::size_t count = count_left();
      receive(results.data());
      // They lie in the vector's own memory already, and become elements by being copied onto
      // themselves, which is nothing to do.
      results.insert(results.end(), results.data(), results.data() + count);
      return results;
    }
  }
  for_each_run([&results](Stored* from, Stored* end) {
    if constexpr (std::is_void_v<R>) {
      results.resize(results.size() + static_cast<std::size_t>(end - from));
    } else {
      for (; from != end; ++from) results.push_back(std::move(*from));
    }
  });
  return results;
}

/// Of what is submitted.
template <class R>
std::size_t MapResult<R>::count_left() const {
  std::size_t count = 0;
  for (std::size_t i = next_; i < tickets_.size(); ++i) count += tickets_[i].count;
  if (!loaded_ || at_ == run_end_) return count - offset_;
  return count - (outcomes_.errors.size() - errors_left_) -
         static_cast<std::size_t>(at_ - outcomes_.values.begin());
}

template <class R>
template <class Out>
void MapResult<R>::move_all_to(Out& out) {
  if constexpr (requires { std::size(out); }) {
    if (feeder_ == nullptr && static_cast<std::size_t>(std::size(out)) < count_left()) {
      throw std::length_error("move_to: the output has room for " + std::to_string(std::size(out)) +
                              " of " + std::to_string(count_left()) + " results");
    }
  }
  if constexpr (detail::can_be_delivered<R> && requires {
                  { std::data(out) } -> std::same_as<R*>;
                }) {
    if (can_receive()) return receive(std::data(out));
  }
  auto to = std::begin(out);
  for_each_run([&to](Stored* from, Stored* end) {
    for (; from != end; ++from, ++to) *to = std::move(lend(*from));
  });
}

template <class R>
bool MapResult<R>::can_receive() const {
  if constexpr (detail::can_be_delivered<R>) {
    return destination_ && !begun_ && feeder_ == nullptr && deadline_.never();
  } else {
    return false;
  }
}

/// Lets the workers write the results to `out` from now on, and moves there what they have done.
template <class R>
void MapResult<R>::receive(Stored* out) {
  begun_ = true;
  if constexpr (detail::can_be_delivered<R>) {
    destination_->set(out);
    const auto begin = detail::Deadline::Clock::now();
    try {
      for (; next_ < tickets_.size(); out += tickets_[next_++].count) {
        wait_for_many(begin);
        Ticket& ticket = tickets_[next_];
        if (detail::FutureAccess::peek(ticket.chunk) == nullptr) {
          *out = std::move(ticket.single).result();
          continue;
        }
        outcomes_ = Future<detail::MapOutcomes<R>>(ticket.chunk).result();
        if (!outcomes_.errors.empty()) std::rethrow_exception(outcomes_.errors.front().error);
        if (outcomes_.delivered) continue;
        for (std::size_t i = 0; i < outcomes_.values.size(); ++i) {
          out[i] = outcomes_.values.begin()[i];
        }
      }
    } catch (...) {
      destination_->set(nullptr);
      cancel_rest();
      wait_for_chunks();  // nobody writes to the destination any more
      throw;
    }
  }
}

}  // namespace concurrent::futures
