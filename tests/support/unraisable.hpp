// SPDX-License-Identifier: MIT
#pragma once

// What reached the unraisable hook while a test ran.

#include <concurrent/futures/unraisable.hpp>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace support {

/// Collects what is reported as unraisable while it lives, as "where: what", and keeps it from
/// stderr. The hook before is back afterwards.
class UnraisableReports {
 public:
  UnraisableReports()
      : before_(concurrent::futures::set_unraisable_hook(
            [log = log_](const std::exception_ptr& error, std::string_view where) {
              const std::scoped_lock lock(log->mutex);
              log->lines.push_back(std::string(where) + ": " + text_of(error));
            })) {}
  UnraisableReports(const UnraisableReports&) = delete;
  UnraisableReports& operator=(const UnraisableReports&) = delete;
  ~UnraisableReports() { concurrent::futures::set_unraisable_hook(std::move(before_)); }

  [[nodiscard]] std::vector<std::string> lines() const {
    const std::scoped_lock lock(log_->mutex);
    return log_->lines;
  }

  /// What an exception says; "?" where it is none of std's.
  static std::string text_of(const std::exception_ptr& error) {
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& exception) {
      return exception.what();
    } catch (...) {
      return "?";
    }
  }

 private:
  struct Log {
    std::mutex mutex;
    std::vector<std::string> lines;
  };
  std::shared_ptr<Log> log_ = std::make_shared<Log>();
  concurrent::futures::UnraisableHook before_;
};

}  // namespace support
