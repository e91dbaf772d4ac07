// SPDX-License-Identifier: MIT
#pragma once

// The command line; argparse in Python.

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "downloader.hpp"

namespace parallel_download {

struct Options {
  std::vector<std::string> urls;  // none: those of the document
  std::string input_file;
  std::string output = "downloads";
  bool sequential = false;
  bool compare = false;
  std::optional<std::size_t> workers;  // none: as many as ThreadPoolExecutor takes by itself
  bool demo = false;
  unsigned demo_delay_ms = 150;
  bool quiet = false;
  DownloadOptions download;
};

/// The options, or the exit status when the program is to end at once: --help, or a mistake, which
/// has been reported.
std::variant<Options, int> parse_command_line(int argc, char** argv);

inline constexpr int exit_success = 0;
inline constexpr int exit_some_failed = 1;   // some URL was not downloaded
inline constexpr int exit_cannot_start = 2;  // wrong usage, no input, no folder
inline constexpr int exit_signal = 128;      // plus the number of the signal: 130 after Ctrl-C

}  // namespace parallel_download
