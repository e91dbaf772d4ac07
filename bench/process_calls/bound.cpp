// SPDX-License-Identifier: MIT
// What the machine allows, by hand: of Q2 a number that a spinning process takes from shared
// memory, and after sleep a number through a pipe to a process that sleeps, and back; of Q3 four
// copies, into memory that both share and out of it, twice.

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <functional>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "process_calls/process_calls.hpp"

namespace {

/// A child that echoes numbers.
class Echo {
 public:
  Echo() {
    if (::pipe(there_) != 0 || ::pipe(back_) != 0) fail();
    child_ = ::fork();
    if (child_ < 0) fail();
    if (child_ != 0) return;
    ::close(there_[1]);
    int number = 0;
    while (::read(there_[0], &number, sizeof number) == sizeof number) {
      static_cast<void>(!::write(back_[1], &number, sizeof number));
    }
    ::_exit(0);
  }
  ~Echo() {
    for (const int end : {there_[0], there_[1], back_[0], back_[1]}) ::close(end);
    ::waitpid(child_, nullptr, 0);
  }
  Echo(const Echo&) = delete;
  Echo& operator=(const Echo&) = delete;

  int operator()(int number) {
    int result = -1;
    static_cast<void>(!::write(there_[1], &number, sizeof number));
    static_cast<void>(!::read(back_[0], &result, sizeof result));
    return result;
  }

 private:
  [[noreturn]] static void fail() {
    throw std::system_error(errno, std::generic_category(), "cannot make a child with two pipes");
  }

  int there_[2] = {-1, -1};
  int back_[2] = {-1, -1};
  pid_t child_ = -1;
};

/// A child that answers as soon as it sees a number, with memory that both share.
class SpinningChild {
 public:
  /// `work(memory)` is what the child does for each number.
  SpinningChild(std::size_t size, const std::function<void(char*)>& work) : size_(size) {
    void* const memory =
        ::mmap(nullptr, page + size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      throw std::system_error(errno, std::generic_category(), "cannot share memory");
    }
    words_ = ::new (memory) Words;
    bytes_ = static_cast<char*>(memory) + page;
    if (size != 0) std::memset(bytes_, 1, size);  // its pages are there before
    child_ = ::fork();
    if (child_ < 0) throw std::system_error(errno, std::generic_category(), "cannot fork");
    if (child_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int seen = 0;;) {
      seen = await(words_->question, seen);
      work(bytes_);
      words_->answer.store(seen, std::memory_order_release);
    }
  }
  ~SpinningChild() {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    ::munmap(static_cast<void*>(words_), page + size_);
  }
  SpinningChild(const SpinningChild&) = delete;
  SpinningChild& operator=(const SpinningChild&) = delete;

  [[nodiscard]] char* bytes() const noexcept { return bytes_; }
  int operator()(int number) {
    words_->question.store(number + 1, std::memory_order_release);
    return await(words_->answer, number) - 1;
  }

 private:
  struct Words {
    alignas(64) std::atomic<int> question{0};
    alignas(64) std::atomic<int> answer{0};
  };
  static constexpr std::size_t page = 4096;

  /// Waits until the word is another than `old`.
  static int await(const std::atomic<int>& word, int old) {
    for (int turn = 1;; ++turn) {
      const int now = word.load(std::memory_order_acquire);
      if (now != old) return now;
      if (turn % 1000 == 0) std::this_thread::yield();
    }
  }

  const std::size_t size_;
  Words* words_ = nullptr;
  char* bytes_ = nullptr;
  pid_t child_ = -1;
};

/// Into a vector that is made anew each time, as a result must be, or into the same one.
void copy_there_and_back(benchmark::State& state, std::size_t mebibytes, bool anew) {
  const std::size_t size = mebibytes << 20U;
  std::vector<char> childs(size);
  SpinningChild child(size, [&](char* shared) {
    if (anew) childs = std::vector<char>();
    childs.assign(shared, shared + size);
    std::memcpy(shared, childs.data(), size);
  });
  const std::vector<char> bytes(size, 'x');
  std::vector<char> back;
  const std::size_t calls = bench::identity_calls(mebibytes);
  int number = 0;
  bench::report_time(state, "ms", static_cast<double>(calls), bench::milliseconds, [&] {
    for (std::size_t i = 0; i < calls; ++i) {
      std::memcpy(child.bytes(), bytes.data(), size);
      child(number++);
      if (anew) back = std::vector<char>();
      back.assign(child.bytes(), child.bytes() + size);
      bench::require(back.back() == 'x', "the bytes that came back");
    }
  });
}

[[maybe_unused]] const bool added = [] {
  using bench::add;
  using bench::Kind;
  add("Q2/round_trip", "spinning", Kind::bound, [](auto& state) {
    SpinningChild child(0, [](char*) {});
    bench::report_process_round_trips(state, bench::round_trips(), {},
                                      [&](int number) { return child(number); });
  });
  for (const std::size_t mebibytes : {1U, 16U, 64U}) {
    const std::string row = "Q3/identity_" + std::to_string(mebibytes) + "_MiB";
    add(row.c_str(), "four copies, same vectors", Kind::bound,
        [mebibytes](auto& state) { copy_there_and_back(state, mebibytes, false); });
    add(row.c_str(), "four copies, new vectors", Kind::related,
        [mebibytes](auto& state) { copy_there_and_back(state, mebibytes, true); });
  }
  return add("Q2/round_trip_after_sleep", "two pipes", Kind::bound, [](auto& state) {
    Echo echo;
    bench::report_process_round_trips(state, bench::round_trips_after_sleep(),
                                      bench::pause_between_round_trips,
                                      [&](int number) { return echo(number); });
  });
}();

}  // namespace
