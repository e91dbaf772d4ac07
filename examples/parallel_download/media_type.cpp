// SPDX-License-Identifier: MIT
#include "media_type.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "text.hpp"

namespace parallel_download {
namespace {

using namespace std::string_view_literals;

constexpr auto extensions = std::to_array<std::pair<std::string_view, std::string_view>>({
    {"application/gzip"sv, ".gz"sv},
    {"application/json"sv, ".json"sv},
    {"application/pdf"sv, ".pdf"sv},
    {"application/x-tar"sv, ".tar"sv},
    {"application/xml"sv, ".xml"sv},
    {"application/zip"sv, ".zip"sv},
    {"audio/flac"sv, ".flac"sv},
    {"audio/mpeg"sv, ".mp3"sv},
    {"audio/ogg"sv, ".ogg"sv},
    {"audio/wav"sv, ".wav"sv},
    {"image/avif"sv, ".avif"sv},
    {"image/bmp"sv, ".bmp"sv},
    {"image/gif"sv, ".gif"sv},
    {"image/heic"sv, ".heic"sv},
    {"image/jpeg"sv, ".jpg"sv},
    {"image/jpg"sv, ".jpg"sv},
    {"image/jxl"sv, ".jxl"sv},
    {"image/png"sv, ".png"sv},
    {"image/svg+xml"sv, ".svg"sv},
    {"image/tiff"sv, ".tiff"sv},
    {"image/vnd.microsoft.icon"sv, ".ico"sv},
    {"image/webp"sv, ".webp"sv},
    {"image/x-icon"sv, ".ico"sv},
    {"image/x-portable-pixmap"sv, ".ppm"sv},
    {"text/css"sv, ".css"sv},
    {"text/csv"sv, ".csv"sv},
    {"text/html"sv, ".html"sv},
    {"text/javascript"sv, ".js"sv},
    {"text/plain"sv, ".txt"sv},
    {"text/xml"sv, ".xml"sv},
    {"video/mp4"sv, ".mp4"sv},
    {"video/webm"sv, ".webm"sv},
});

}  // namespace

std::string_view extension_for(std::string_view content_type) {
  const std::string type = ascii_lower(trimmed(content_type.substr(0, content_type.find(';'))));
  const auto found = std::find_if(extensions.begin(), extensions.end(),
                                  [&](const auto& entry) { return entry.first == type; });
  return found == extensions.end() ? std::string_view{} : found->second;
}

}  // namespace parallel_download
