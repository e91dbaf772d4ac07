// SPDX-License-Identifier: MIT
#include "options.hpp"

#include <CLI/CLI.hpp>
#include <cstdint>

namespace parallel_download {
namespace {

std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::round<std::chrono::milliseconds>(std::chrono::duration<double>(seconds));
}

/// Options that CLI11 fills as plain numbers, before they become durations.
struct Seconds {
  double timeout = 60;
  double connect_timeout = 10;
  double backoff = 0.5;
  double max_wait = 60;
};

void add_what(CLI::App& app, Options& options) {
  auto* urls = app.add_option("url", options.urls,
                              "What to download (default: the 15 pictures of the document)");
  auto* file = app.add_option("-i,--input-file", options.input_file,
                              "Read URLs from FILE, one a line; - is the standard input")
                   ->type_name("FILE");
  auto* demo = app.add_flag("--demo", options.demo,
                            "Download 15 generated pictures from a server inside this program");
  demo->excludes(urls)->excludes(file);
  app.add_option("--demo-delay", options.demo_delay_ms, "How long that server takes to answer")
      ->type_name("MS")
      ->check(CLI::Range(0U, 60'000U))
      ->capture_default_str()
      ->needs(demo);
  app.add_option("-o,--output", options.output, "The folder to save in")
      ->type_name("DIR")
      ->capture_default_str();
}

void add_how(CLI::App& app, Options& options) {
  auto* sequential = app.add_flag("--sequential", options.sequential, "One after the other");
  auto* workers = app.add_option("-w,--workers", options.workers,
                                 "Downloads at once (default: as in Python, CPUs + 4, at most 32)")
                      ->type_name("N")
                      ->check(CLI::Range(1, 1024));
  auto* compare = app.add_flag("--compare", options.compare,
                               "First sequential, then parallel, and how many times faster");
  sequential->excludes(workers)->excludes(compare);
  app.add_flag("-q,--quiet", options.quiet, "Report nothing but errors and times");
}

/// Without this CLI11 takes -1 for the largest of all sizes.
std::string no_minus_sign(std::string& text) {
  return text.find('-') == std::string::npos ? std::string() : text + " is no size";
}

void add_limits(CLI::App& app, DownloadOptions& options, Seconds& seconds) {
  // Not CLI::Range, which takes "nan".
  const auto from = [](double least) {
    constexpr double longest = 1e6;
    const auto check = [least](const std::string& text) {
      double value = 0;
      const bool right =
          CLI::detail::lexical_cast(text, value) && value >= least && value <= longest;
      return right ? std::string() : text + " is no number of seconds that makes sense here";
    };
    return CLI::Validator(check, "", "SECONDS");
  };
  const auto add_seconds = [&](const char* name, double& value, double least, const char* text) {
    app.add_option(name, value, text)
        ->type_name("SECONDS")
        ->check(from(least))
        ->capture_default_str();
  };
  app.add_option("--retries", options.retries, "Further attempts when the failure may pass")
      ->type_name("N")
      ->check(CLI::Range(0, 100))
      ->capture_default_str();
  add_seconds("--backoff", seconds.backoff, 0, "Wait before the first retry; doubles each time");
  add_seconds("--max-wait", seconds.max_wait, 0, "Longest Retry-After of a server to comply with");
  add_seconds("--timeout", seconds.timeout, 0.001, "Limit of one attempt, from connecting on");
  add_seconds("--connect-timeout", seconds.connect_timeout, 0.001, "Limit of connecting");
  app.add_option("--max-size", options.session.max_size,
                 "Largest file to accept, like 500k or 20M; 0 is any")
      ->type_name("BYTES")
      ->transform(CLI::AsSizeValue(true))
      ->transform(CLI::Validator(no_minus_sign, ""))  // comes before the one above
      ->default_str("1G");
  app.add_option("--ca-file", options.session.ca_file,
                 "Certificates to trust (PEM) instead of the system's")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
}

void take_over(const Seconds& seconds, Options& options) {
  DownloadOptions& download = options.download;
  download.session.timeout = milliseconds(seconds.timeout);
  download.session.connect_timeout = milliseconds(seconds.connect_timeout);
  download.session.use_proxy = !options.demo;  // its server can be reached from here only
  download.backoff.first = milliseconds(seconds.backoff);
  download.longest_retry_after =
      std::chrono::ceil<std::chrono::seconds>(std::chrono::duration<double>(seconds.max_wait));
}

}  // namespace

std::variant<Options, int> parse_command_line(int argc, char** argv) {
  constexpr std::uint64_t one_gigabyte = 1'000'000'000;
  Options options;
  Seconds seconds;
  options.download.session.max_size = one_gigabyte;
  CLI::App app("Downloads files, many at once or one after the other, and says how long it took.");
  app.footer(
      "Exit status: 0 all were downloaded, 1 some were not, 2 it could not start, 128 + n "
      "after signal n (130 after Ctrl-C).");
  add_what(app, options);
  add_how(app, options);
  add_limits(app, options.download, seconds);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? exit_success : exit_cannot_start;
  }
  take_over(seconds, options);
  return options;
}

}  // namespace parallel_download
