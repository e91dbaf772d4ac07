// SPDX-License-Identifier: MIT
// The main function of every contestant's program: its own two options, then Google Benchmark's.

#include <charconv>
#include <cstdio>
#include <string_view>

#include "support/bench.hpp"

namespace {

/// Takes `--workers=N`, `--samples=N` and `--quick` out of the arguments; false when one is
/// malformed.
bool take_options(int& argc, char** argv) {
  const auto positive = [](std::string_view text, auto& value) {
    const char* end = text.data() + text.size();
    return std::from_chars(text.data(), end, value).ptr == end && value > 0;
  };
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    constexpr std::string_view workers = "--workers=";
    constexpr std::string_view samples = "--samples=";
    if (argument == "--quick") {
      bench::config().quick = true;
    } else if (argument.starts_with(workers)) {
      if (!positive(argument.substr(workers.size()), bench::config().workers)) return false;
    } else if (argument.starts_with(samples)) {
      if (!positive(argument.substr(samples.size()), bench::config().samples)) return false;
    } else {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  if (!take_options(argc, argv)) {
    std::fprintf(stderr, "%s: --workers and --samples take a positive number\n", argv[0]);
    return 2;
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
