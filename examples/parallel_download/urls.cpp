// SPDX-License-Identifier: MIT
#include "urls.hpp"

#include <curl/curl.h>

#include <istream>
#include <memory>
#include <new>
#include <string_view>
#include <unordered_set>

#include "text.hpp"

namespace parallel_download {
namespace {

struct CleanUpUrl {
  void operator()(CURLU* handle) const { curl_url_cleanup(handle); }
};
using ParsedUrl = std::unique_ptr<CURLU, CleanUpUrl>;

/// Nothing when libcurl cannot read it.
ParsedUrl parsed(const std::string& url) {
  ParsedUrl handle(curl_url());
  if (!handle) throw std::bad_alloc();
  if (curl_url_set(handle.get(), CURLUPART_URL, url.c_str(), CURLU_NON_SUPPORT_SCHEME) !=
      CURLUE_OK) {
    handle.reset();
  }
  return handle;
}

std::string part(const ParsedUrl& url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url.get(), which, &text, flags) != CURLUE_OK) return {};
  const std::unique_ptr<char, decltype(&curl_free)> owner(text, &curl_free);
  return text;
}

}  // namespace

const std::vector<std::string>& document_urls() {
  static const std::vector<std::string> urls = {
      "https://images.unsplash.com/photo-1516117172878-fd2c41f4a759",
      "https://images.unsplash.com/photo-1532009324734-20a7a5813719",
      "https://images.unsplash.com/photo-1524429656589-6633a470097c",
      "https://images.unsplash.com/photo-1530224264768-7ff8c1789d79",
      "https://images.unsplash.com/photo-1564135624576-c5c88640f235",
      "https://images.unsplash.com/photo-1541698444083-023c97d3f4b6",
      "https://images.unsplash.com/photo-1522364723953-452d3431c267",
      "https://images.unsplash.com/photo-1513938709626-033611b8cc03",
      "https://images.unsplash.com/photo-1507143550189-fed454f93097",
      "https://images.unsplash.com/photo-1493976040374-85c8e12f0c0e",
      "https://images.unsplash.com/photo-1504198453319-5ce911bafcde",
      "https://images.unsplash.com/photo-1530122037265-a5f1f91d3b99",
      "https://images.unsplash.com/photo-1516972810927-80185027ca84",
      "https://images.unsplash.com/photo-1550439062-609e1531270e",
      "https://images.unsplash.com/photo-1549692520-acc6669e2f0c",
  };
  return urls;
}

std::vector<std::string> read_urls(std::istream& input) {
  std::vector<std::string> urls;
  std::string line;
  while (std::getline(input, line)) {
    std::string_view url = line;
    if (url.starts_with("\xEF\xBB\xBF")) url.remove_prefix(3);  // byte order mark
    url = trimmed(url);
    if (!url.empty() && !url.starts_with('#')) urls.emplace_back(url);
  }
  return urls;
}

CheckedUrl checked(const std::string& url) {
  if (url.find('\0') != std::string::npos) return {url, "not a URL"};
  const ParsedUrl handle = parsed(url);
  if (!handle) return {url, "not a URL that begins with http:// or https://"};
  const std::string scheme = part(handle, CURLUPART_SCHEME);
  if (scheme != "http" && scheme != "https") {
    return {url, "only http and https are allowed, not " + printable(scheme)};
  }
  if (part(handle, CURLUPART_HOST).empty()) return {url, "the URL names no host"};
  curl_url_set(handle.get(), CURLUPART_FRAGMENT, nullptr, 0);
  const std::string host = ascii_lower(part(handle, CURLUPART_HOST));
  curl_url_set(handle.get(), CURLUPART_HOST, host.c_str(), 0);
  return {part(handle, CURLUPART_URL, CURLU_NO_DEFAULT_PORT), ""};
}

UniqueUrls unique(const std::vector<std::string>& urls) {
  UniqueUrls result;
  std::unordered_set<std::string> seen;
  for (const std::string& url : urls) {
    if (seen.insert(checked(url).url).second) {
      result.urls.push_back(url);
    } else {
      ++result.duplicates;
    }
  }
  return result;
}

std::string for_display(const std::string& url) {
  const ParsedUrl handle = parsed(url);
  const bool has_user = handle && !part(handle, CURLUPART_USER).empty();
  const bool has_password = handle && !part(handle, CURLUPART_PASSWORD).empty();
  if (!has_user && !has_password) return printable(url);
  curl_url_set(handle.get(), CURLUPART_USER, nullptr, 0);
  curl_url_set(handle.get(), CURLUPART_PASSWORD, nullptr, 0);
  return printable(part(handle, CURLUPART_URL));
}

}  // namespace parallel_download
