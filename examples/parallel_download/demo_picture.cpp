// SPDX-License-Identifier: MIT
#include "demo_picture.hpp"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

namespace parallel_download {
namespace {

constexpr int width = 800;
constexpr int height = 600;
constexpr int channels = 3;

std::uint8_t brightness(double wave) { return static_cast<std::uint8_t>(127.5 + 127.5 * wave); }

/// Waves from two sources that interfere, in three colours; the seed moves the sources.
std::vector<std::uint8_t> pixels(unsigned seed) {
  std::vector<std::uint8_t> result;
  result.reserve(static_cast<std::size_t>(width) * height * channels);
  const double angle = 0.7 * seed;
  const double x0 = width * (0.5 + 0.4 * std::cos(angle));
  const double y0 = height * (0.5 + 0.4 * std::sin(angle));
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const double near = std::hypot(x - x0, y - y0) / (12.0 + seed % 7);
      const double far = std::hypot(x - width + x0, y - height + y0) / 25.0;
      result.push_back(brightness(std::sin(near) * std::cos(far)));
      result.push_back(brightness(std::sin(far + angle)));
      result.push_back(brightness(std::cos(near / 3 - far)));
    }
  }
  return result;
}

void append(void* result, void* data, int size) {
  static_cast<std::string*>(result)->append(static_cast<const char*>(data),
                                            static_cast<std::size_t>(size));
}

}  // namespace

std::string demo_picture(unsigned seed) {
  constexpr int quality = 85;
  std::string file;
  const std::vector<std::uint8_t> rgb = pixels(seed);
  if (stbi_write_jpg_to_func(&append, &file, width, height, channels, rgb.data(), quality) == 0) {
    throw std::runtime_error("cannot encode a demonstration picture");
  }
  return file;
}

}  // namespace parallel_download
