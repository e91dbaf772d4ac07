// SPDX-License-Identifier: MIT
#include "progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace parallel_download {
namespace {

std::size_t terminal_width() {
  winsize size = {};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

std::string bar(std::size_t done, std::size_t total) {
  constexpr std::size_t width = 20;
  const std::size_t filled = total == 0 ? width : done * width / total;
  return "[" + std::string(filled, '#') + std::string(width - filled, '.') + "]";
}

void write_line(std::FILE* stream, std::string_view line) {
  std::fwrite(line.data(), 1, line.size(), stream);
  std::fputc('\n', stream);
  std::fflush(stream);
}

}  // namespace

std::string human_size(std::uint64_t bytes) {
  constexpr std::array units = {"kB", "MB", "GB", "TB", "PB", "EB"};
  if (bytes < 1000) return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes) / 1000;
  std::size_t unit = 0;
  for (; value >= 999.95 && unit + 1 < units.size(); ++unit) value /= 1000;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f %s", value, units[unit]);
  return text.data();
}

Progress::Progress(std::size_t total, Style style) : total_(total), style_(style) {
  if (style == Style::normal && ::isatty(STDERR_FILENO) != 0) {
    drawing_ = std::jthread([this](const std::stop_token& stop) { keep_drawing(stop); });
  }
}

Progress::~Progress() {
  if (!drawing_.joinable()) return;
  drawing_.request_stop();
  drawing_.join();
  erase();
}

void Progress::message(std::string_view line) {
  if (style_ == Style::quiet) return;
  const std::scoped_lock lock(mutex_);
  erase();
  write_line(stdout, line);
}

void Progress::complaint(std::string_view line) {
  const std::scoped_lock lock(mutex_);
  erase();
  write_line(stderr, line);
}

void Progress::add_finished(bool successful) {
  if (!successful) failed_.fetch_add(1, std::memory_order_relaxed);
  finished_.fetch_add(1, std::memory_order_relaxed);
}

void Progress::keep_drawing(const std::stop_token& stop) {
  constexpr std::chrono::milliseconds interval{100};
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    draw();
    changed_.wait_for(lock, stop, interval, [] { return false; });
  }
}

void Progress::draw() {
  std::string text = line();
  text.resize(std::min(text.size(), terminal_width() - 1));  // or it would wrap and stay
  std::fprintf(stderr, "\r\x1b[K%s", text.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::erase() {
  if (!drawn_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

std::string Progress::line() const {
  const std::size_t finished = finished_.load(std::memory_order_relaxed);
  const std::size_t failed = failed_.load(std::memory_order_relaxed);
  const std::uint64_t bytes = bytes_.load(std::memory_order_relaxed);
  const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
  std::string text = bar(finished, total_) + " " + std::to_string(finished) + "/" +
                     std::to_string(total_) + " done, " + human_size(bytes);
  if (elapsed > 0.2) {
    text +=
        ", " + human_size(static_cast<std::uint64_t>(static_cast<double>(bytes) / elapsed)) + "/s";
  }
  if (failed > 0) text += ", " + std::to_string(failed) + " failed";
  return text;
}

}  // namespace parallel_download
