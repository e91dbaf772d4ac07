// SPDX-License-Identifier: MIT
#include "http_status.hpp"

#include <string_view>

namespace parallel_download {
namespace {

std::string_view words_for(long status) {
  switch (status) {
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 410:
      return "Gone";
    case 418:
      return "I'm a Teapot";
    case 425:
      return "Too Early";
    case 429:
      return "Too Many Requests";
    case 451:
      return "Unavailable For Legal Reasons";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return {};
  }
}

}  // namespace

std::string describe_status(long status) {
  std::string text = "HTTP " + std::to_string(status);
  if (const std::string_view words = words_for(status); !words.empty()) {
    text.append(" ").append(words);
  }
  return text;
}

bool is_transient_status(long status) {
  switch (status) {
    case 408:
    case 425:
    case 429:
    case 500:
    case 502:
    case 503:
    case 504:
      return true;
    default:
      return false;
  }
}

}  // namespace parallel_download
