// SPDX-License-Identifier: MIT
#pragma once

// Tells how far the work is: a bar on a terminal, one plain line a picture elsewhere. Failures are
// named in both cases, on the standard error output.

#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string>

#include "job.hpp"

namespace image_processing {

class Progress {
 public:
  Progress(std::size_t total, bool quiet)
      : total_(total), quiet_(quiet), terminal_(::isatty(STDERR_FILENO) == 1) {}
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void add(const Job& job, const Outcome& outcome) {
    ++done_;
    if (!outcome.ok()) {
      clear();
      std::fprintf(stderr, "image_processing: %s: %s\n", job.input.c_str(),
                   outcome.failure.c_str());
    } else if (!terminal_ && !quiet_) {
      std::printf("[%zu/%zu] %s %zux%zu -> %s %zux%zu in %.0f ms\n", done_, total_,
                  job.input.c_str(), outcome.width_before, outcome.height_before,
                  job.output.c_str(), outcome.width_after, outcome.height_after,
                  outcome.seconds.total() * 1000.0);
      std::fflush(stdout);
    }
    draw();
  }

 private:
  using Clock = std::chrono::steady_clock;

  static std::size_t columns() {
    winsize size = {};
    return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
  }

  void draw() {
    if (!terminal_ || quiet_) return;
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    char text[96];
    std::snprintf(text, sizeof text, " %zu/%zu  %.1f images/s", done_, total_,
                  static_cast<double>(done_) / seconds);
    const std::string label = text;
    const std::size_t room = columns();
    const std::size_t width = room > label.size() + 12 ? room - label.size() - 4 : 8;
    const std::size_t filled = total_ == 0 ? width : width * done_ / total_;
    const std::string bar = std::string(filled, '#') + std::string(width - filled, '.');
    std::fprintf(stderr, "\r[%s]%s\x1b[K", bar.c_str(), label.c_str());
    std::fflush(stderr);
    drawn_ = true;
  }

  void clear() {
    if (drawn_) std::fputs("\r\x1b[K", stderr);
    drawn_ = false;
  }

  std::size_t total_;
  bool quiet_;
  bool terminal_;
  bool drawn_ = false;
  std::size_t done_ = 0;
  Clock::time_point start_ = Clock::now();
};

}  // namespace image_processing
