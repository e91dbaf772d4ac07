// SPDX-License-Identifier: MIT
#pragma once

// `download_images(url)` of the document: one URL, from the request to the file. Any executor can
// map it over any number of URLs.

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backoff.hpp"
#include "interrupt.hpp"
#include "part_file.hpp"
#include "progress.hpp"
#include "session.hpp"

namespace parallel_download {

struct DownloadOptions {
  SessionOptions session;
  int retries = 2;  // attempts after the first
  Backoff backoff;
  std::chrono::seconds longest_retry_after{60};  // a server that asks for more is given up
};

/// What became of one URL.
struct Download {
  std::string url;
  std::string name;     // of the file in the folder; empty when there is none
  std::string problem;  // why there is none
  std::uint64_t bytes = 0;
  int attempts = 0;

  bool successful() const { return problem.empty(); }
};

/// **Thread safety** all members, from any thread: each call borrows a session of its own, the one
/// that was given back last, so that a connection is used again while it is warm.
class Downloader {
 public:
  /// Keeps references to all but the options.
  Downloader(DownloadOptions options, OutputFolder& folder, const Interrupt& interrupt,
             Progress& progress);

  /// Never throws for what the network, the server or the disk does: that is Download::problem.
  Download operator()(const std::string& url);

 private:
  class Lease;

  Response attempt(Session& session, const std::string& url, PartFile& file, Download& download);
  bool wait_before_retry(const Response& response, Download& download);
  void fetch(Session& session, const std::string& url, Download& download);
  void report(const Download& download);

  DownloadOptions options_;
  OutputFolder& folder_;
  const Interrupt& interrupt_;
  Progress& progress_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Session>> idle_;
};

}  // namespace parallel_download
