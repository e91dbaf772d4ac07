// SPDX-License-Identifier: MIT
#include "downloader.hpp"

#include <algorithm>
#include <exception>
#include <iomanip>
#include <random>
#include <sstream>
#include <utility>

#include "safe_filename.hpp"
#include "text.hpp"
#include "urls.hpp"

namespace parallel_download {
namespace {

double chance() {
  thread_local std::mt19937 random(std::random_device{}());
  return std::uniform_real_distribution<double>(0, 1)(random);
}

std::string seconds(std::chrono::milliseconds duration) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << std::chrono::duration<double>(duration).count()
       << " s";
  return text.str();
}

}  // namespace

/// A session that goes back to the others when the download is over.
class Downloader::Lease {
 public:
  explicit Lease(Downloader& downloader) : downloader_(downloader) {
    {
      const std::scoped_lock lock(downloader_.mutex_);
      if (!downloader_.idle_.empty()) {
        session_ = std::move(downloader_.idle_.back());
        downloader_.idle_.pop_back();
      }
    }
    if (!session_) session_ = std::make_unique<Session>(downloader_.options_.session);
  }
  ~Lease() {
    const std::scoped_lock lock(downloader_.mutex_);
    downloader_.idle_.push_back(std::move(session_));
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  Session& session() { return *session_; }

 private:
  Downloader& downloader_;
  std::unique_ptr<Session> session_;
};

Downloader::Downloader(DownloadOptions options, OutputFolder& folder, const Interrupt& interrupt,
                       Progress& progress)
    : options_(std::move(options)), folder_(folder), interrupt_(interrupt), progress_(progress) {}

Download Downloader::operator()(const std::string& url) {
  Download download;
  download.url = url;
  const CheckedUrl target = checked(url);
  if (interrupt_.raised()) {
    download.problem = "interrupted";
  } else if (!target.problem.empty()) {
    download.problem = target.problem;
  } else {
    try {
      Lease lease(*this);
      fetch(lease.session(), target.url, download);
    } catch (const std::exception& error) {
      download.problem = printable(error.what());
    }
  }
  report(download);
  return download;
}

void Downloader::fetch(Session& session, const std::string& url, Download& download) {
  PartFile file(folder_);
  Response response = attempt(session, url, file, download);
  while (response.outcome == Response::Outcome::try_again &&
         wait_before_retry(response, download)) {
    response = attempt(session, url, file, download);
  }
  if (response.outcome == Response::Outcome::whole) {
    download.name =
        file.publish(choose_filename(response.content_disposition, url, response.content_type));
  } else if (download.problem.empty()) {
    download.problem = response.reason;
  }
}

Response Downloader::attempt(Session& session, const std::string& url, PartFile& file,
                             Download& download) {
  file.discard();
  download.bytes = 0;
  ++download.attempts;
  const auto save = [&](std::span<const char> bytes) {
    file.write(bytes);
    download.bytes += bytes.size();
    progress_.add_bytes(bytes.size());
  };
  return session.get(url, save, interrupt_);
}

/// False when there is to be no further attempt; download.problem says why.
bool Downloader::wait_before_retry(const Response& response, Download& download) {
  download.problem = response.reason;
  if (download.attempts > options_.retries) return false;
  const auto asked = response.retry_after.value_or(std::chrono::seconds(0));
  if (asked > options_.longest_retry_after) {
    download.problem += " (the server asks to wait " + std::to_string(asked.count()) + " s)";
    return false;
  }
  const auto delay = std::max<std::chrono::milliseconds>(
      asked, options_.backoff.delay(download.attempts, chance()));
  progress_.complaint(for_display(download.url) + ": " + response.reason + "; retry " +
                      std::to_string(download.attempts) + " of " +
                      std::to_string(options_.retries) + " in " + seconds(delay));
  download.problem = interrupt_.sleep_for(delay) ? "" : "interrupted";
  return download.problem.empty();
}

void Downloader::report(const Download& download) {
  progress_.add_finished(download.successful());
  if (download.successful()) {
    progress_.message(download.name + " was downloaded");
  } else if (!interrupt_.raised()) {
    const std::string attempts =
        download.attempts > 1 ? " (" + std::to_string(download.attempts) + " attempts)" : "";
    progress_.complaint(for_display(download.url) + ": " + download.problem + attempts);
  }
}

}  // namespace parallel_download
