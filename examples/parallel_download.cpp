// SPDX-License-Identifier: MIT
//
// Downloads pictures, one after the other or many at once:
//
//   parallel_download --demo --compare
//
// This is the port of the two programs of the fourth document. The first fetches 15 pictures in a
// loop, in 23.10 s; the second in 5.54 s with
//
//   with ThreadPoolExecutor() as executor:
//       results = executor.map(download_images, img_urls)
//
// As they stand, the first saves only the last picture (the saving is not indented into the loop)
// and the second reads a name of its caller instead of its argument. Here each is saved, once.

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <concurrent/futures/thread_pool.hpp>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

#include "parallel_download/demo_server.hpp"
#include "parallel_download/downloader.hpp"
#include "parallel_download/interrupt.hpp"
#include "parallel_download/options.hpp"
#include "parallel_download/part_file.hpp"
#include "parallel_download/progress.hpp"
#include "parallel_download/session.hpp"
#include "parallel_download/urls.hpp"

namespace parallel_download {
namespace {

using concurrent::futures::ThreadPoolExecutor;

std::vector<Download> download_sequentially(const std::vector<std::string>& urls,
                                            Downloader& downloader) {
  std::vector<Download> downloads;
  downloads.reserve(urls.size());
  for (const std::string& url : urls) downloads.push_back(downloader(url));
  return downloads;
}

std::vector<Download> download_in_parallel(const std::vector<std::string>& urls,
                                           Downloader& downloader, std::size_t workers) {
  ThreadPoolExecutor executor({.max_workers = workers, .thread_name_prefix = "download"});
  std::vector<Download> downloads;
  downloads.reserve(urls.size());
  // chunksize 1: a slow download is not to hold up others that would share its task.
  for (const Download& download : executor.map({.chunksize = 1}, std::ref(downloader), urls)) {
    downloads.push_back(download);
  }
  return downloads;
}

/// One pass over all URLs, as fast as it went.
struct Pass {
  std::filesystem::path folder;
  std::vector<Download> downloads;
  double seconds = 0;

  std::size_t failures() const {
    const auto failed = [](const Download& download) { return !download.successful(); };
    return static_cast<std::size_t>(std::count_if(downloads.begin(), downloads.end(), failed));
  }
};

/// What the whole program works on.
struct Job {
  const Options& options;
  const std::vector<std::string>& urls;
  const Interrupt& interrupt;

  std::size_t workers() const {
    return options.workers.value_or(ThreadPoolExecutor::Options{}.max_workers);
  }
};

enum class Mode : std::uint8_t { sequential, parallel };

Pass download_all(const Job& job, Mode mode, const std::filesystem::path& path) {
  const auto style = job.options.quiet ? Progress::Style::quiet : Progress::Style::normal;
  OutputFolder folder(path);
  Progress progress(job.urls.size(), style);
  Downloader downloader(job.options.download, folder, job.interrupt, progress);
  const auto start = std::chrono::steady_clock::now();
  auto downloads = mode == Mode::sequential
                       ? download_sequentially(job.urls, downloader)
                       : download_in_parallel(job.urls, downloader, job.workers());
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  return {path, std::move(downloads), elapsed.count()};
}

int exit_status(const Job& job, std::size_t failures) {
  if (job.interrupt.raised()) return exit_signal + job.interrupt.signal();
  return failures == 0 ? exit_success : exit_some_failed;
}

/// The line that the Python programs print, and what they leave out: whether anything is missing.
void report(const Job& job, const Pass& pass) {
  std::printf("Finished in %.2f seconds\n", pass.seconds);
  std::fflush(stdout);
  if (pass.failures() == 0) return;
  std::fprintf(stderr, "%s%zu of %zu were not downloaded\n",
               job.interrupt.raised() ? "interrupted: " : "", pass.failures(),
               pass.downloads.size());
}

bool same_bytes(const std::filesystem::path& left, const std::filesystem::path& right) {
  std::ifstream one(left, std::ios::binary);
  std::ifstream other(right, std::ios::binary);
  using Bytes = std::istreambuf_iterator<char>;
  return one && other && std::equal(Bytes(one), Bytes(), Bytes(other), Bytes());
}

bool same_files(const Pass& left, const Pass& right) {
  const auto same = [&](const Download& one, const Download& other) {
    return same_bytes(left.folder / one.name, right.folder / other.name);
  };
  return std::equal(left.downloads.begin(), left.downloads.end(), right.downloads.begin(),
                    right.downloads.end(), same);
}

void report_comparison(const Pass& sequential, const Pass& parallel) {
  if (sequential.failures() + parallel.failures() > 0) {
    std::puts("No comparison: not everything was downloaded both times");
    return;
  }
  std::printf("%.2f times faster; %s\n", sequential.seconds / parallel.seconds,
              same_files(sequential, parallel) ? "the same files both times"
                                               : "the server sent different files the second time");
}

int run_comparison(const Job& job) {
  const std::filesystem::path folder = job.options.output;
  std::puts("Sequential:");
  const Pass sequential = download_all(job, Mode::sequential, folder / "sequential");
  report(job, sequential);
  if (job.interrupt.raised()) return exit_status(job, sequential.failures());
  std::printf("ThreadPoolExecutor with %zu workers:\n", job.workers());
  const Pass parallel = download_all(job, Mode::parallel, folder / "parallel");
  report(job, parallel);
  if (!job.interrupt.raised()) report_comparison(sequential, parallel);
  return exit_status(job, sequential.failures() + parallel.failures());
}

int run_once(const Job& job) {
  const Mode mode = job.options.sequential ? Mode::sequential : Mode::parallel;
  const Pass pass = download_all(job, mode, job.options.output);
  report(job, pass);
  return exit_status(job, pass.failures());
}

std::vector<std::string> urls_in_file(const std::string& name) {
  if (name == "-") return read_urls(std::cin);
  // A folder can be opened as a stream, and reads as empty.
  if (std::filesystem::is_directory(name)) throw std::runtime_error(name + " is a folder");
  std::ifstream file(name);
  if (!file) throw std::system_error(errno, std::generic_category(), "cannot read " + name);
  return read_urls(file);
}

std::vector<std::string> wanted_urls(const Options& options, const DemoServer* demo) {
  if (demo != nullptr) return demo->urls();
  std::vector<std::string> urls = options.urls;
  if (!options.input_file.empty()) {
    const std::vector<std::string> more = urls_in_file(options.input_file);
    if (more.empty()) throw std::runtime_error("there is no URL in " + options.input_file);
    urls.insert(urls.end(), more.begin(), more.end());
  }
  return urls.empty() ? document_urls() : urls;
}

int run(const Options& options) {
  const CurlLibrary curl;
  std::optional<DemoServer> demo;
  if (options.demo) demo.emplace(std::chrono::milliseconds(options.demo_delay_ms));
  const UniqueUrls wanted = unique(wanted_urls(options, demo ? &*demo : nullptr));
  if (wanted.duplicates > 0) {
    std::fprintf(stderr, "%zu of the URLs are there more than once: each is downloaded once\n",
                 wanted.duplicates);
  }
  // Only now: until here there is nothing to clean up, and Ctrl-C ends even a read from a terminal.
  Interrupt interrupt;
  const RaiseOnSignals signals(interrupt);
  const Job job{options, wanted.urls, interrupt};
  return options.compare ? run_comparison(job) : run_once(job);
}

}  // namespace
}  // namespace parallel_download

int main(int argc, char** argv) {
  // A lost connection, a closed pipe and a file size limit are errors to report, not to die of.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    const auto command = parallel_download::parse_command_line(argc, argv);
    if (const int* status = std::get_if<int>(&command)) return *status;
    return parallel_download::run(std::get<parallel_download::Options>(command));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "parallel_download: %s\n", error.what());
    return parallel_download::exit_cannot_start;
  }
}
