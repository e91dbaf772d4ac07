// SPDX-License-Identifier: MIT

// The filters against straightforward references in double precision.

#include "image_processing/filters.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <vector>

#include "pictures.hpp"
#include "support/catch.hpp"

namespace {

using image_processing::Image;
using pictures::noisy;

/// A sample of the picture as a number; beyond its sides, that of the nearest pixel.
double sample(const Image& image, std::ptrdiff_t x, std::ptrdiff_t y, std::size_t c) {
  const auto clamped = [](std::ptrdiff_t at, std::size_t size) {
    return static_cast<std::size_t>(
        std::clamp<std::ptrdiff_t>(at, 0, static_cast<std::ptrdiff_t>(size) - 1));
  };
  const std::uint8_t* pixel =
      image.row(clamped(y, image.height)) + clamped(x, image.width) * image.channels;
  return pixel[c];
}

/// The same, colours multiplied by their alpha.
double premultiplied(const Image& image, std::ptrdiff_t x, std::ptrdiff_t y, std::size_t c) {
  const double value = sample(image, x, y, c);
  return image.has_alpha() && c < 3 ? value * sample(image, x, y, 3) / 255.0 : value;
}

/// The sum over all pixels around, weighed in two dimensions at once.
double blurred(const Image& image, std::size_t x, std::size_t y, std::size_t c, double sigma) {
  const auto reach = static_cast<std::ptrdiff_t>(5.0 * sigma + 1.0);
  double sum = 0.0, total = 0.0;
  for (std::ptrdiff_t dy = -reach; dy <= reach; ++dy) {
    for (std::ptrdiff_t dx = -reach; dx <= reach; ++dx) {
      const double weight = std::exp(-static_cast<double>(dx * dx + dy * dy) / (2 * sigma * sigma));
      sum += weight * premultiplied(image, static_cast<std::ptrdiff_t>(x) + dx,
                                    static_cast<std::ptrdiff_t>(y) + dy, c);
      total += weight;
    }
  }
  return sum / total;
}

double cubic(double x) {
  x = std::abs(x);
  if (x < 1) return 1.5 * x * x * x - 2.5 * x * x + 1;
  if (x < 2) return -0.5 * x * x * x + 2.5 * x * x - 4 * x + 2;
  return 0;
}

/// Weights of all source samples for one sample of the result.
std::vector<double> cubic_weights(std::size_t from, std::size_t to, std::size_t at) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double centre = (static_cast<double>(at) + 0.5) * scale, widen = std::max(1.0, scale);
  std::vector<double> weights(from);
  double total = 0.0;
  for (std::size_t i = 0; i < from; ++i) {
    weights[i] = cubic((static_cast<double>(i) + 0.5 - centre) / widen);
    total += weights[i];
  }
  for (double& weight : weights) weight /= total;
  return weights;
}

double resized(const Image& image, std::size_t width, std::size_t height, std::size_t x,
               std::size_t y, std::size_t c) {
  const auto across = cubic_weights(image.width, width, x);
  const auto down = cubic_weights(image.height, height, y);
  double sum = 0.0;
  for (std::size_t j = 0; j < image.height; ++j) {
    for (std::size_t i = 0; i < image.width; ++i) {
      sum +=
          across[i] * down[j] *
          premultiplied(image, static_cast<std::ptrdiff_t>(i), static_cast<std::ptrdiff_t>(j), c);
    }
  }
  return sum;
}

/// The greatest distance of any sample of `image` (premultiplied) from what `expected` says.
double greatest_error(
    const Image& image,
    const std::function<double(std::size_t, std::size_t, std::size_t)>& expected) {
  double greatest = 0.0;
  for (std::size_t y = 0; y < image.height; ++y) {
    for (std::size_t x = 0; x < image.width; ++x) {
      for (std::size_t c = 0; c < image.channels; ++c) {
        const double value =
            premultiplied(image, static_cast<std::ptrdiff_t>(x), static_cast<std::ptrdiff_t>(y), c);
        const double wanted = std::clamp(expected(x, y, c), 0.0, 255.0);
        greatest = std::max(greatest, std::abs(value - wanted));
      }
    }
  }
  return greatest;
}

Image counting(std::vector<std::uint8_t> values, std::size_t width, std::size_t height) {
  Image image(width, height, 1);
  std::copy(values.begin(), values.end(), image.pixels.begin());
  return image;
}

}  // namespace

TEST_CASE("image: a Gaussian blur is within one level of the exact sum") {
  const std::size_t channels = GENERATE(1U, 3U, 4U);
  const double sigma = GENERATE(0.5, 2.0, 4.3);
  INFO(channels << " channels, sigma " << sigma);
  const Image source = noisy(67, 41, channels);
  Image image = source;
  gaussian_blur(image, sigma);
  CHECK(greatest_error(image, [&](std::size_t x, std::size_t y, std::size_t c) {
          return blurred(source, x, y, c, sigma);
        }) <= (channels == 4 ? 1.5 : 1.0));  // colour and alpha are both rounded
}

TEST_CASE("image: a blur that reaches beyond a tiny picture repeats its edges") {
  const Image source = noisy(GENERATE(1U, 2U, 5U), GENERATE(1U, 3U), 3);
  Image image = source;
  gaussian_blur(image, 3.0);
  CHECK(greatest_error(image, [&](std::size_t x, std::size_t y, std::size_t c) {
          return blurred(source, x, y, c, 3.0);
        }) <= 1.0);
}

TEST_CASE("image: what is transparent does not colour its neighbours when blurred") {
  Image image(40, 1, 4);
  for (std::size_t x = 0; x < 40; ++x) {
    const bool visible = x < 20;
    image.pixels[4 * x] = visible ? 255 : 0;
    image.pixels[4 * x + 1] = visible ? 0 : 255;  // green, and invisible
    image.pixels[4 * x + 2] = 0;
    image.pixels[4 * x + 3] = visible ? 255 : 0;
  }
  gaussian_blur(image, 2.0);
  std::size_t green = 0;
  for (std::size_t x = 0; x < 40; ++x) green += image.pixels[4 * x + 1];
  CHECK(green == 0);
}

TEST_CASE("image: sharpening adds what the blur takes away") {
  const Image source = noisy(67, 41, 3);
  Image image = source;
  sharpen(image, 1.5, 2.0);
  CHECK(greatest_error(image, [&](std::size_t x, std::size_t y, std::size_t c) {
          const double original =
              sample(source, static_cast<std::ptrdiff_t>(x), static_cast<std::ptrdiff_t>(y), c);
          return original + 1.5 * (original - blurred(source, x, y, c, 2.0));
        }) <= 1.3);
}

TEST_CASE("image: sharpening leaves alpha as it is") {
  const Image source = noisy(31, 17, 4);
  Image image = source;
  sharpen(image, 2.0, 1.0);
  bool same = true;
  for (std::size_t i = 3; i < image.pixels.size(); i += 4) {
    same = same && image.pixels[i] == source.pixels[i];
  }
  CHECK(same);
  CHECK(image.pixels != source.pixels);
}

TEST_CASE("image: resize is within one level of the exact bicubic sum") {
  const std::size_t channels = GENERATE(1U, 3U);
  const auto [width, height] = GENERATE(
      table<std::size_t, std::size_t>({{16, 12}, {50, 33}, {130, 7}, {120, 80}, {1, 1}, {97, 60}}));
  const Image source = noisy(97, 61, channels);
  Image image = source;
  resize(image, width, height);
  REQUIRE(image.width == width);
  REQUIRE(image.height == height);
  const std::size_t w = width, h = height;
  CHECK(greatest_error(image, [&](std::size_t x, std::size_t y, std::size_t c) {
          return resized(source, w, h, x, y, c);
        }) <= 0.51);
}

TEST_CASE("image: resize weighs colours by their alpha") {
  const Image source = noisy(64, 48, 4);
  Image image = source;
  resize(image, 17, 13);
  CHECK(greatest_error(image, [&](std::size_t x, std::size_t y, std::size_t c) {
          return resized(source, 17, 13, x, y, c);
        }) <= 1.5);
}

TEST_CASE("image: an even picture stays even under blur, sharpen and resize") {
  for (const int level : {0, 1, 127, 254, 255}) {
    Image image(83, 29, 3);
    std::fill(image.pixels.begin(), image.pixels.end(), static_cast<std::uint8_t>(level));
    gaussian_blur(image, 2.0);
    sharpen(image, 3.0, 1.0);
    resize(image, 41, 90);
    CHECK(std::all_of(image.pixels.begin(), image.pixels.end(),
                      [level](std::uint8_t value) { return value == level; }));
  }
}

TEST_CASE("image: grayscale is the luma of ITU-R 601") {
  Image image(4, 1, 3);
  const std::uint8_t pixels[] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255};
  std::copy(std::begin(pixels), std::end(pixels), image.pixels.begin());
  grayscale(image);
  CHECK(image.channels == 1);
  CHECK(std::vector<int>(image.pixels.begin(), image.pixels.end()) ==
        std::vector<int>{76, 150, 29, 255});
}

TEST_CASE("image: grayscale keeps alpha") {
  Image image(1, 1, 4);
  image.pixels = {255, 0, 0, 7};
  grayscale(image);
  CHECK(std::vector<int>(image.pixels.begin(), image.pixels.end()) ==
        std::vector<int>{76, 76, 76, 7});
}

TEST_CASE("image: sepia mixes by its matrix and strength") {
  Image image(1, 1, 3);
  image.pixels = {100, 50, 200};
  SECTION("in full") {
    sepia(image, 1.0);
    CHECK(std::vector<int>(image.pixels.begin(), image.pixels.end()) ==
          std::vector<int>{116, 103, 80});
  }
  SECTION("not at all") {
    sepia(image, 0.0);
    CHECK(std::vector<int>(image.pixels.begin(), image.pixels.end()) ==
          std::vector<int>{100, 50, 200});
  }
}

TEST_CASE("image: edges are the length of Sobel's gradient") {
  const Image source = noisy(37, 23, 1);
  Image image = source;
  edges(image);
  CHECK(greatest_error(image, [&](std::size_t column, std::size_t row, std::size_t) {
          const auto x = static_cast<std::ptrdiff_t>(column), y = static_cast<std::ptrdiff_t>(row);
          double gx = 0.0, gy = 0.0;
          for (std::ptrdiff_t d = -1; d <= 1; ++d) {
            const double weight = d == 0 ? 2.0 : 1.0;
            gx += weight * (sample(source, x + 1, y + d, 0) - sample(source, x - 1, y + d, 0));
            gy += weight * (sample(source, x + d, y + 1, 0) - sample(source, x + d, y - 1, 0));
          }
          return std::sqrt(gx * gx + gy * gy);
        }) <= 0.51);
}

TEST_CASE("image: each EXIF orientation is undone") {
  const auto [orientation, width, expected] =
      GENERATE(table<int, std::size_t, std::vector<std::uint8_t>>({
          {1, 3, {1, 2, 3, 4, 5, 6}},
          {2, 3, {3, 2, 1, 6, 5, 4}},
          {3, 3, {6, 5, 4, 3, 2, 1}},
          {4, 3, {4, 5, 6, 1, 2, 3}},
          {5, 2, {1, 4, 2, 5, 3, 6}},
          {6, 2, {4, 1, 5, 2, 6, 3}},
          {7, 2, {6, 3, 5, 2, 4, 1}},
          {8, 2, {3, 6, 2, 5, 1, 4}},
      }));
  Image image = counting({1, 2, 3, 4, 5, 6}, 3, 2);
  apply_orientation(image, orientation);
  CHECK(image.width == width);
  CHECK(image.height == 6 / width);
  CHECK(std::vector<std::uint8_t>(image.pixels.begin(), image.pixels.end()) == expected);
}

TEST_CASE("image: four quarter turns of a large picture give it back") {
  const std::size_t channels = GENERATE(1U, 3U, 4U);
  const Image source = noisy(101, 67, channels);
  Image image = source;
  for (int i = 0; i < 4; ++i) apply_orientation(image, 6);
  CHECK(image.pixels == source.pixels);
}
