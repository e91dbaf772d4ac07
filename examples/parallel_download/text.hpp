// SPDX-License-Identifier: MIT
#pragma once

// Small text tools that the download program needs in more than one place: percent-decoding, UTF-8,
// and making text that came over the network fit to print on a terminal.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace parallel_download {

/// One step through UTF-8: the code point and how many bytes it took. A byte that is no UTF-8 comes
/// back alone, with no code point.
struct CodePoint {
  std::optional<char32_t> value;
  std::size_t length = 1;
};

/// The code point that `text` begins with. @pre text is not empty.
CodePoint first_code_point(std::string_view text);

bool is_utf8(std::string_view text);

/// Every byte taken as the Unicode code point of the same number.
std::string utf8_from_latin1(std::string_view text);

/// "%41" becomes "A"; a '%' that two hexadecimal digits do not follow stays as it is.
std::string percent_decoded(std::string_view text);

/// Control characters, invisible characters and those that turn the writing direction: what must
/// reach neither a file name nor a terminal.
bool is_unprintable(char32_t character);

/// `text` with a '?' for everything unprintable or not UTF-8.
std::string printable(std::string_view text);

/// ASCII only: header names and file name rules do not depend on the locale.
char ascii_lower(char character);
std::string ascii_lower(std::string_view text);
std::string_view trimmed(std::string_view text);

}  // namespace parallel_download
