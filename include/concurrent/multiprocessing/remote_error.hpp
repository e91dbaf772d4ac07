// SPDX-License-Identifier: MIT
#pragma once

// RemoteError: an exception of another process whose type cannot be brought home.
// Counterpart: concurrent.futures.process._RemoteTraceback.

#include <sys/types.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

namespace concurrent::multiprocessing {

/// Stands for an exception whose type is not registered (register_exception), or that is no class.
/// The text names the type, the message and the worker: "app::ParseError: line 3 (in worker process
/// 4711)".
class RemoteError : public std::runtime_error {
 public:
  RemoteError(const std::string& type_name, const std::string& message, pid_t pid)
      : std::runtime_error(text(type_name, message, pid)),
        details_(std::make_shared<const Details>(Details{type_name, message, pid})) {}

  /// The type's name as in the source.
  [[nodiscard]] const std::string& type_name() const noexcept { return details_->type_name; }
  /// What the exception's what() said; empty where it had none.
  [[nodiscard]] const std::string& message() const noexcept { return details_->message; }
  /// The process that threw it.
  [[nodiscard]] pid_t pid() const noexcept { return details_->pid; }

 private:
  struct Details {
    std::string type_name;
    std::string message;
    pid_t pid;
  };

  static std::string text(const std::string& type_name, const std::string& message, pid_t pid) {
    const std::string separator = message.empty() ? "" : ": ";
    return type_name + separator + message + " (in worker process " + std::to_string(pid) + ")";
  }

  std::shared_ptr<const Details> details_;  // shared: copying an exception must not throw
};

}  // namespace concurrent::multiprocessing
