// SPDX-License-Identifier: MIT

// Lays out the thumbnails; the letters are those of stb_easy_font.

#include "contact_sheet.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_easy_font.h>
#pragma GCC diagnostic pop

namespace image_processing {
namespace {

constexpr std::size_t gap = 10, text_height = 14, columns = 3;
constexpr std::size_t cell_width = 2 * thumbnail_width + 3 * gap;
constexpr std::size_t cell_height = thumbnail_height + text_height + 2 * gap;
constexpr std::uint8_t paper = 34, ink = 220;

/// One corner of a letter's rectangle, as stb_easy_font writes four of them for each.
struct Corner {
  float x, y, z;
  std::uint8_t colour[4];
};

void draw_text(Image& image, std::size_t x, std::size_t y, std::string text, std::size_t width) {
  for (char& c : text) {
    if (c < 32 || c > 126) c = '?';  // the font knows ASCII
  }
  while (text.size() > 3 && stb_easy_font_width(text.data()) > static_cast<int>(width)) {
    text.replace(text.size() - 4, 4, "...");
  }
  std::vector<char> buffer(300 * text.size() + 300);
  const int quads = stb_easy_font_print(static_cast<float>(x), static_cast<float>(y), text.data(),
                                        nullptr, buffer.data(), static_cast<int>(buffer.size()));
  for (std::size_t i = 0; i < static_cast<std::size_t>(quads); ++i) {
    std::array<Corner, 4> corners;
    std::memcpy(corners.data(), buffer.data() + i * sizeof corners, sizeof corners);
    const auto right = std::min(image.width, static_cast<std::size_t>(corners[2].x));
    const auto bottom = std::min(image.height, static_cast<std::size_t>(corners[2].y));
    const auto left = static_cast<std::size_t>(corners[0].x);
    for (auto row = static_cast<std::size_t>(corners[0].y); row < bottom; ++row) {
      if (left < right) std::fill(image.row(row) + 3 * left, image.row(row) + 3 * right, ink);
    }
  }
}

/// Centred in its box, whose upper left corner is (x, y).
void draw_thumbnail(Image& image, std::size_t x, std::size_t y, const Thumbnail& small) {
  const std::size_t width = std::min(small.width, thumbnail_width);
  const std::size_t height = std::min(small.height, thumbnail_height);
  x += (thumbnail_width - width) / 2;
  y += (thumbnail_height - height) / 2;
  for (std::size_t row = 0; row < height; ++row) {
    std::copy_n(small.pixels.data() + row * small.width * 3, width * 3, image.row(y + row) + x * 3);
  }
}

}  // namespace

Image contact_sheet(const std::vector<ContactPair>& pairs, const std::string& title) {
  const std::size_t across = std::clamp<std::size_t>(pairs.size(), 1, columns);
  const std::size_t rows = (pairs.size() + columns - 1) / columns;
  Image sheet(across * cell_width, 2 * gap + text_height + rows * cell_height, 3);
  std::fill(sheet.pixels.begin(), sheet.pixels.end(), paper);
  draw_text(sheet, gap, gap, title, sheet.width - 2 * gap);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const std::size_t x = (i % columns) * cell_width + gap;
    const std::size_t y = 2 * gap + text_height + (i / columns) * cell_height;
    draw_text(sheet, x, y, pairs[i].name, cell_width - 2 * gap);
    draw_thumbnail(sheet, x, y + text_height, pairs[i].before);
    draw_thumbnail(sheet, x + thumbnail_width + gap, y + text_height, pairs[i].after);
  }
  return sheet;
}

}  // namespace image_processing
