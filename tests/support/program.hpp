// SPDX-License-Identifier: MIT
#pragma once

// Runs a program as a user would, and tells what it printed and how it ended.

#include <chrono>
#include <string>
#include <vector>

namespace support {

struct ProgramOptions {
  std::string input{};                     ///< what it reads from its standard input
  std::string directory{};                 ///< where it runs; empty: here
  std::vector<std::string> environment{};  ///< "NAME=value", on top of what this process has
  std::chrono::seconds timeout{100};       ///< after that it is killed, and `timed_out` says so
};

struct ProgramResult {
  int status = -1;  ///< exit status; -1 when a signal ended it
  int signal = 0;   ///< the signal that ended it, or 0
  bool timed_out = false;
  std::string out;
  std::string err;
};

/// Runs `command` (a path, or a name to be found in PATH, and its arguments) to its end.
/// @throws std::system_error when it cannot be started
ProgramResult run_program(const std::vector<std::string>& command,
                          const ProgramOptions& options = {});

/// The path of one of our own example programs.
std::string example(const std::string& name);

}  // namespace support
