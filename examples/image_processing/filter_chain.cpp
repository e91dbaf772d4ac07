// SPDX-License-Identifier: MIT

// Filters read from text, and applied.

#include "filter_chain.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "filters.hpp"

namespace image_processing {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

/// A filter's text while it is being read, so that every complaint can quote it.
struct Text {
  std::string_view whole;
  std::string_view name;
  std::optional<std::string_view> arguments;

  [[noreturn]] void fail(std::string_view reason) const {
    throw std::invalid_argument("filter \"" + std::string(whole) + "\": " + std::string(reason));
  }
};

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string short_number(double value) {
  char text[32];
  const int size = std::snprintf(text, sizeof text, "%g", value);
  return {text, static_cast<std::size_t>(size)};
}

/// Reads up to `defaults.size()` numbers, separated by commas, each within its limits.
struct Parameter {
  const char* name;
  double value;
  double low;
  double high;
};

std::vector<double> parameters(const Text& text, const std::vector<Parameter>& expected) {
  std::vector<double> values;
  values.reserve(expected.size());
  for (const Parameter& parameter : expected) values.push_back(parameter.value);
  if (!text.arguments) return values;
  std::string_view rest = *text.arguments;
  for (std::size_t i = 0;; ++i) {
    if (i == expected.size()) {
      text.fail("takes at most " + std::to_string(i) + (i == 1 ? " number" : " numbers"));
    }
    const Parameter& parameter = expected[i];
    const std::size_t comma = rest.find(',');
    const auto value = number<double>(rest.substr(0, comma));
    if (!value || !(*value >= parameter.low && *value <= parameter.high)) {
      text.fail("the " + std::string(parameter.name) + " must be a number from " +
                short_number(parameter.low) + " to " + short_number(parameter.high) + ", not \"" +
                std::string(rest.substr(0, comma)) + "\"");
    }
    values[i] = *value;
    if (comma == std::string_view::npos) return values;
    rest.remove_prefix(comma + 1);
  }
}

void no_arguments(const Text& text) {
  if (text.arguments) text.fail("takes no arguments");
}

constexpr std::size_t max_side = 65535;
constexpr double max_percent = 1000.0;
constexpr double max_sigma = 100.0;

std::size_t side(const Text& text, std::string_view digits) {
  if (digits.empty()) return 0;
  const auto value = number<std::size_t>(digits);
  if (!value || *value == 0 || *value > max_side) {
    text.fail("a side must be a whole number of pixels from 1 to 65535, not \"" +
              std::string(digits) + "\"");
  }
  return *value;
}

Resize parse_sides(const Text& text, std::string_view sides) {
  const std::size_t cross = sides.find('x');
  if (cross == std::string_view::npos || sides.size() == 1) {
    text.fail("expects a size such as 25%, 800x600, 800x or x600");
  }
  Resize resize;
  resize.width = side(text, sides.substr(0, cross));
  resize.height = side(text, sides.substr(cross + 1));
  return resize;
}

Filter parse_resize(const Text& text) {
  const std::string_view size = text.arguments.value_or("");
  if (!size.ends_with('%')) return parse_sides(text, size);
  const std::string_view digits = size.substr(0, size.size() - 1);
  const auto percent = number<double>(digits);
  if (!percent || !(*percent >= 0.01 && *percent <= max_percent)) {
    text.fail("the percentage must be a number from 0.01 to 1000, not \"" + std::string(digits) +
              "\"");
  }
  Resize resize;
  resize.factor = *percent / 100.0;
  return resize;
}

Filter parse_fit(const Text& text) {
  Resize resize = parse_sides(text, text.arguments.value_or(""));
  if (resize.width == 0 || resize.height == 0) text.fail("expects both sides, such as 800x600");
  resize.fit = true;
  return resize;
}

Filter parse_rotate(const Text& text) {
  const auto degrees = number<int>(text.arguments.value_or(""));
  if (!degrees || (*degrees != 90 && *degrees != 180 && *degrees != 270)) {
    text.fail("expects 90, 180 or 270 (degrees clockwise)");
  }
  return Rotate{*degrees};
}

Filter parse_blur(const Text& text) {
  return Blur{parameters(text, {{"radius", 2.0, 0.1, max_sigma}})[0]};
}

Filter parse_sharpen(const Text& text) {
  const auto values =
      parameters(text, {{"amount", 1.0, 0.0, 10.0}, {"radius", 2.0, 0.1, max_sigma}});
  return Sharpen{values[0], values[1]};
}

Filter parse_sepia(const Text& text) {
  return Sepia{parameters(text, {{"strength", 1.0, 0.0, 1.0}})[0]};
}

template <class Plain>
Filter parse_plain(const Text& text) {
  no_arguments(text);
  return Plain{};
}

struct Name {
  std::string_view name;
  Filter (*parse)(const Text&);
};

constexpr Name names[] = {
    {"grayscale", parse_plain<Grayscale>},
    {"blur", parse_blur},
    {"sharpen", parse_sharpen},
    {"edges", parse_plain<Edges>},
    {"sepia", parse_sepia},
    {"resize", parse_resize},
    {"fit", parse_fit},
    {"orient", parse_plain<Orient>},
    {"rotate", parse_rotate},
};

std::pair<std::size_t, std::size_t> target_size(const Resize& wish, const Image& image) {
  const auto width = static_cast<double>(image.width), height = static_cast<double>(image.height);
  const auto rounded = [](double value) {
    return static_cast<std::size_t>(std::max(1.0, std::floor(value + 0.5)));
  };
  double factor = wish.factor;
  if (factor == 0.0) {
    const double across = static_cast<double>(wish.width) / width;
    const double down = static_cast<double>(wish.height) / height;
    if (wish.fit) {
      factor = std::min(across, down);
    } else if (wish.width != 0 && wish.height != 0) {
      return {wish.width, wish.height};
    } else {
      factor = std::max(across, down);  // one of them is 0
    }
  }
  return {rounded(width * factor), rounded(height * factor)};
}

void resize_within_limit(const Resize& wish, Image& image, std::size_t max_pixels) {
  const auto [width, height] = target_size(wish, image);
  if (height > max_pixels / width) {
    throw PictureError(to_string(Filter(wish)) + " would make " + size_text(width, height) +
                       " pixels, more than the limit of " + std::to_string(max_pixels));
  }
  resize(image, width, height);
}

}  // namespace

Filter parse_filter(std::string_view text) {
  const std::size_t colon = text.find(':');
  Text parts{text, text.substr(0, colon), std::nullopt};
  if (colon != std::string_view::npos) parts.arguments = text.substr(colon + 1);
  for (const Name& known : names) {
    if (known.name == parts.name) return known.parse(parts);
  }
  std::string expected;
  for (const Name& known : names) {
    if (!expected.empty()) expected += ", ";
    expected += known.name;
  }
  parts.fail("no such filter (there are " + expected + ")");
}

std::string_view filter_help() {
  return "Filters, applied in the order given:\n"
         "  orient                  turn upright as the EXIF orientation says\n"
         "  grayscale               luma (ITU-R 601)\n"
         "  blur[:RADIUS]           Gaussian blur; RADIUS is its standard deviation (2)\n"
         "  sharpen[:AMOUNT[,RADIUS]]  unsharp mask (1,2)\n"
         "  edges                   length of the gradient (Sobel)\n"
         "  sepia[:STRENGTH]        0 to 1 (1)\n"
         "  resize:25% | resize:WxH | resize:Wx | resize:xH   bicubic, antialiased\n"
         "  fit:WxH                 as large as fits in W x H, aspect kept\n"
         "  rotate:90|180|270       degrees clockwise\n";
}

std::string to_string(const Filter& filter) {
  return std::visit(
      Overloaded{
          [](const Grayscale&) { return std::string("grayscale"); },
          [](const Blur& blur) { return "blur:" + short_number(blur.sigma); },
          [](const Sharpen& sharp) {
            return "sharpen:" + short_number(sharp.amount) + "," + short_number(sharp.sigma);
          },
          [](const Edges&) { return std::string("edges"); },
          [](const Sepia& tint) { return "sepia:" + short_number(tint.strength); },
          [](const Resize& wish) {
            if (wish.factor != 0.0) return "resize:" + short_number(wish.factor * 100.0) + "%";
            const auto text = [](std::size_t n) { return n == 0 ? "" : std::to_string(n); };
            return (wish.fit ? "fit:" : "resize:") + text(wish.width) + "x" + text(wish.height);
          },
          [](const Orient&) { return std::string("orient"); },
          [](const Rotate& turn) { return "rotate:" + std::to_string(turn.degrees); },
      },
      filter);
}

std::string to_string(const FilterChain& chain) {
  std::string text;
  for (const Filter& filter : chain) {
    if (!text.empty()) text += ' ';
    text += to_string(filter);
  }
  return text;
}

void apply(const FilterChain& chain, Image& image, int orientation, std::size_t max_pixels) {
  const Overloaded apply_one{
      [&](const Grayscale&) { grayscale(image); },
      [&](const Blur& blur) { gaussian_blur(image, blur.sigma); },
      [&](const Sharpen& sharp) { sharpen(image, sharp.amount, sharp.sigma); },
      [&](const Edges&) { edges(image); },
      [&](const Sepia& tint) { sepia(image, tint.strength); },
      [&](const Resize& wish) { resize_within_limit(wish, image, max_pixels); },
      [&](const Orient&) { apply_orientation(image, std::exchange(orientation, 1)); },
      [&](const Rotate& turn) {
        apply_orientation(image, turn.degrees == 90 ? 6 : turn.degrees == 180 ? 3 : 8);
      },
  };
  for (const Filter& filter : chain) std::visit(apply_one, filter);
}

}  // namespace image_processing
