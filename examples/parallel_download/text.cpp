// SPDX-License-Identifier: MIT
#include "text.hpp"

#include <algorithm>
#include <iterator>

namespace parallel_download {
namespace {

struct LeadByte {
  std::size_t length;
  char32_t bits;
  char32_t smallest;  // below this the sequence is longer than it need be, which is forbidden
};

std::optional<LeadByte> lead_byte(unsigned char byte) {
  if (byte < 0x80) return LeadByte{1, byte, 0};
  if ((byte & 0xE0U) == 0xC0) return LeadByte{2, byte & 0x1FU, 0x80};
  if ((byte & 0xF0U) == 0xE0) return LeadByte{3, byte & 0x0FU, 0x800};
  if ((byte & 0xF8U) == 0xF0) return LeadByte{4, byte & 0x07U, 0x10000};
  return std::nullopt;
}

bool is_scalar_value(char32_t value) {
  return value <= 0x10FFFF && (value < 0xD800 || value > 0xDFFF);
}

int hex_digit(char character) {
  if (character >= '0' && character <= '9') return character - '0';
  const char lower = ascii_lower(character);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

CodePoint first_code_point(std::string_view text) {
  const auto lead = lead_byte(static_cast<unsigned char>(text.front()));
  if (!lead || lead->length > text.size()) return {};
  char32_t value = lead->bits;
  for (std::size_t i = 1; i < lead->length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xC0U) != 0x80) return {};
    value = (value << 6U) | (byte & 0x3FU);
  }
  if (value < lead->smallest || !is_scalar_value(value)) return {};
  return {value, lead->length};
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const CodePoint next = first_code_point(text);
    if (!next.value) return false;
    text.remove_prefix(next.length);
  }
  return true;
}

std::string utf8_from_latin1(std::string_view text) {
  std::string result;
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    if (byte < 0x80) {
      result.push_back(character);
    } else {
      result.push_back(static_cast<char>(0xC0U | (byte >> 6U)));
      result.push_back(static_cast<char>(0x80U | (byte & 0x3FU)));
    }
  }
  return result;
}

std::string percent_decoded(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low < 0) {
      result.push_back(text[i]);
    } else {
      result.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    }
  }
  return result;
}

bool is_unprintable(char32_t c) {
  const auto within = [c](char32_t first, char32_t last) { return c >= first && c <= last; };
  return c < 0x20 || within(0x7F, 0x9F)  // C0, DEL, C1
         || c == 0xAD || c == 0x61C      // soft hyphen, Arabic letter mark
         || within(0x200B, 0x200F)       // zero width, direction marks
         || within(0x2028, 0x202E)       // line and paragraph separators, direction overrides
         || within(0x2060, 0x206F)       // word joiner, direction isolates
         || c == 0xFEFF                  // byte order mark
         || within(0xFFF9, 0xFFFB)       // interlinear annotation
         || within(0xE0000, 0xE007F);    // tags
}

std::string printable(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const CodePoint next = first_code_point(text);
    if (!next.value || is_unprintable(*next.value)) {
      result.push_back('?');
    } else {
      result.append(text.substr(0, next.length));
    }
    text.remove_prefix(next.length);
  }
  return result;
}

char ascii_lower(char character) {
  return character >= 'A' && character <= 'Z' ? static_cast<char>(character - 'A' + 'a')
                                              : character;
}

std::string ascii_lower(std::string_view text) {
  std::string result;
  std::transform(text.begin(), text.end(), std::back_inserter(result),
                 [](char character) { return ascii_lower(character); });
  return result;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r\n\f\v";
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

}  // namespace parallel_download
