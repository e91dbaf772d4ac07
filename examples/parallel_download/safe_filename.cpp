// SPDX-License-Identifier: MIT
#include "safe_filename.hpp"

#include <algorithm>

#include "content_disposition.hpp"
#include "media_type.hpp"
#include "text.hpp"

namespace parallel_download {
namespace {

/// Where the extension begins (at its dot), or the end of the name when it has none. Something like
/// the ".5" of "version 1.5" is no extension: there must be a letter in it.
std::size_t extension_position(std::string_view name) {
  constexpr std::size_t longest_extension = 10;
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return name.size();
  const std::string_view extension = name.substr(dot + 1);
  const auto is_letter = [](char c) { return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z'; };
  const auto is_word = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); };
  const bool plausible = extension.size() <= longest_extension &&
                         std::all_of(extension.begin(), extension.end(), is_word) &&
                         std::any_of(extension.begin(), extension.end(), is_letter);
  return plausible ? dot : name.size();
}

std::string with_safe_characters(std::string_view text) {
  constexpr std::string_view reserved = "/\\<>:\"|?*";
  std::string result;
  while (!text.empty()) {
    const CodePoint next = first_code_point(text);
    const bool safe = next.value && !is_unprintable(*next.value) &&
                      reserved.find(text.front()) == std::string_view::npos;
    result.append(safe ? text.substr(0, next.length) : "_");
    text.remove_prefix(next.length);
  }
  return result;
}

std::string_view without_outer_dots_and_blanks(std::string_view name) {
  const std::size_t first = name.find_first_not_of(". ");
  if (first == std::string_view::npos) return {};
  return name.substr(first, name.find_last_not_of(". ") - first + 1);
}

/// Windows keeps these for devices, whatever extension follows.
bool is_device_name(std::string_view name) {
  const std::string stem =
      ascii_lower(without_outer_dots_and_blanks(name.substr(0, name.find('.'))));
  if (stem == "con" || stem == "prn" || stem == "aux" || stem == "nul") return true;
  return stem.size() == 4 && (stem.starts_with("com") || stem.starts_with("lpt")) &&
         stem[3] >= '1' && stem[3] <= '9';
}

std::string_view cut_between_characters(std::string_view text, std::size_t longest) {
  if (text.size() <= longest) return text;
  const auto continues = [&](std::size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80;
  };
  while (longest > 0 && continues(longest)) --longest;
  return text.substr(0, longest);
}

std::string shortened(const std::string& name) {
  if (name.size() <= longest_filename) return name;
  const std::string_view all = name;
  const std::size_t dot = extension_position(all);
  const std::string_view extension = all.substr(dot);
  std::string result(
      cut_between_characters(all.substr(0, dot), longest_filename - extension.size()));
  result.append(extension);
  return std::string(without_outer_dots_and_blanks(result));
}

}  // namespace

std::string safe_filename(std::string_view wanted) {
  const std::string characters = with_safe_characters(wanted);
  std::string name(without_outer_dots_and_blanks(characters));
  if (name.starts_with('-') || is_device_name(name)) name.insert(name.begin(), '_');
  return shortened(name);
}

std::string name_from_url(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  if (const auto scheme = url.find("://"); scheme != std::string_view::npos) {
    const std::size_t path = url.find('/', scheme + 3);
    url = path == std::string_view::npos ? std::string_view{} : url.substr(path);
  }
  while (url.ends_with('/')) url.remove_suffix(1);
  const std::size_t separator = url.rfind('/');
  return percent_decoded(separator == std::string_view::npos ? url : url.substr(separator + 1));
}

std::string choose_filename(std::string_view content_disposition, std::string_view url,
                            std::string_view content_type) {
  std::string name = safe_filename(name_from_content_disposition(content_disposition).value_or(""));
  if (name.empty()) name = safe_filename(name_from_url(url));
  if (name.empty()) name = "index";
  if (extension_position(name) == name.size()) name.append(extension_for(content_type));
  return shortened(name);
}

std::string numbered(std::string_view name, std::size_t number) {
  if (number == 0) return std::string(name);
  const std::size_t dot = extension_position(name);
  return std::string(name.substr(0, dot)) + "-" + std::to_string(number) +
         std::string(name.substr(dot));
}

}  // namespace parallel_download
