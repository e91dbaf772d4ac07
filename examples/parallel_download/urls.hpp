// SPDX-License-Identifier: MIT
#pragma once

// What to download: `img_urls` of the document, the command line, or a file with one URL a line.

#include <iosfwd>
#include <string>
#include <vector>

namespace parallel_download {

/// The 15 pictures of the document's two programs.
const std::vector<std::string>& document_urls();

/// One URL a line; blank lines and lines that begin with '#' say nothing.
std::vector<std::string> read_urls(std::istream& input);

/// A URL that was looked at before anything is sent.
struct CheckedUrl {
  std::string url;      // as libcurl writes it: "HTTP://Host:80/a#b" is "http://host/a"
  std::string problem;  // why it cannot be downloaded; empty when it can
};
CheckedUrl checked(const std::string& url);

/// Each URL once, in the order of its first appearance, and how many were left out. URLs that
/// checked() cannot read are told apart by their text.
struct UniqueUrls {
  std::vector<std::string> urls;
  std::size_t duplicates = 0;
};
UniqueUrls unique(const std::vector<std::string>& urls);

/// `url` without the user name and password that may stand in it, fit for a terminal.
std::string for_display(const std::string& url);

}  // namespace parallel_download
