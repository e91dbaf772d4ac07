// SPDX-License-Identifier: MIT
#pragma once

// What the user sees while many downloads run at once: every message on a line of its own, and
// below them, on a terminal, one line for all downloads together (tqdm would be its Python
// counterpart).

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace parallel_download {

/// **Thread safety** all members, from any thread.
class Progress {
 public:
  enum class Style : std::uint8_t { quiet, normal };

  /// Messages go to stdout, complaints and the progress line to stderr. Quiet is complaints only.
  Progress(std::size_t total, Style style);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void message(std::string_view line);
  void complaint(std::string_view line);

  /// What was received, also of a download that fails later on.
  void add_bytes(std::size_t count) { bytes_.fetch_add(count, std::memory_order_relaxed); }
  void add_finished(bool successful);

 private:
  using Clock = std::chrono::steady_clock;

  void keep_drawing(const std::stop_token& stop);
  void draw();
  void erase();
  std::string line() const;

  const std::size_t total_;
  const Style style_;
  const Clock::time_point start_ = Clock::now();
  // relaxed: figures for people, read one by one; nothing is published through them.
  std::atomic<std::uint64_t> bytes_ = 0;
  std::atomic<std::size_t> finished_ = 0;
  std::atomic<std::size_t> failed_ = 0;

  std::mutex mutex_;  // one writer to the terminal at a time; guards drawn_
  bool drawn_ = false;
  std::condition_variable_any changed_;
  std::jthread drawing_;
};

/// "812 B", "1.4 MB".
std::string human_size(std::uint64_t bytes);

}  // namespace parallel_download
