// SPDX-License-Identifier: MIT
#include "content_disposition.hpp"

#include <algorithm>
#include <cstddef>

#include "text.hpp"

namespace parallel_download {
namespace {

/// Reads `;name=value` after `;name=value`, as lenient as browsers are about blanks.
class Parameters {
 public:
  struct Parameter {
    std::string name;
    std::string value;
  };

  explicit Parameters(std::string_view header) : rest_(header) { skip_to_semicolon(); }

  std::optional<Parameter> next() {
    while (!rest_.empty()) {
      rest_.remove_prefix(1);  // the semicolon
      const std::size_t end = rest_.find_first_of("=;");
      if (end == std::string_view::npos) return std::nullopt;
      const std::string name = ascii_lower(trimmed(rest_.substr(0, end)));
      rest_.remove_prefix(end);
      if (rest_.front() == ';') continue;  // a parameter without a value
      rest_.remove_prefix(1);
      return Parameter{name, value()};
    }
    return std::nullopt;
  }

 private:
  std::string value() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t"), rest_.size()));
    std::string result;
    if (rest_.starts_with('"')) {
      result = quoted_string();
      skip_to_semicolon();
    } else {
      const std::string_view begin = rest_;
      skip_to_semicolon();
      result = trimmed(begin.substr(0, begin.size() - rest_.size()));
    }
    return result;
  }

  std::string quoted_string() {
    std::string result;
    rest_.remove_prefix(1);
    while (!rest_.empty() && rest_.front() != '"') {
      if (rest_.front() == '\\' && rest_.size() > 1) rest_.remove_prefix(1);
      result.push_back(rest_.front());
      rest_.remove_prefix(1);
    }
    return result;
  }

  void skip_to_semicolon() { rest_.remove_prefix(std::min(rest_.find(';'), rest_.size())); }

  std::string_view rest_;
};

/// RFC 8187: charset'language'percent-encoded. UTF-8 must be understood, ISO-8859-1 still occurs.
std::optional<std::string> extended_value(std::string_view value) {
  const std::size_t first = value.find('\'');
  const std::size_t second = first == std::string_view::npos ? first : value.find('\'', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const std::string charset = ascii_lower(value.substr(0, first));
  std::string text = percent_decoded(value.substr(second + 1));
  if (charset == "iso-8859-1") return utf8_from_latin1(text);
  if (charset != "utf-8" || !is_utf8(text)) return std::nullopt;
  return text;
}

std::string last_part(std::string_view path) {
  const std::size_t separator = path.find_last_of("/\\");
  return std::string(separator == std::string_view::npos ? path : path.substr(separator + 1));
}

}  // namespace

std::optional<std::string> name_from_content_disposition(std::string_view header) {
  std::optional<std::string> plain;
  std::optional<std::string> extended;
  Parameters parameters(header);
  while (auto parameter = parameters.next()) {
    if (parameter->name == "filename" && !plain) {
      plain = is_utf8(parameter->value) ? parameter->value : utf8_from_latin1(parameter->value);
    } else if (parameter->name == "filename*" && !extended) {
      extended = extended_value(parameter->value);
    }
  }
  for (const auto& candidate : {extended, plain}) {
    if (candidate && !last_part(*candidate).empty()) return last_part(*candidate);
  }
  return std::nullopt;
}

}  // namespace parallel_download
