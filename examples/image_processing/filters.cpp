// SPDX-License-Identifier: MIT

// The filters on pixels; the inner loops are in kernels.hpp.

#include "filters.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#include "image.hpp"
#include "kernels.hpp"

namespace image_processing {
namespace {

using Floats = Buffer<float>;

// Weights of ITU-R 601, in 1/65536.
std::uint8_t luma(const std::uint8_t* rgb) {
  return static_cast<std::uint8_t>((rgb[0] * 19595U + rgb[1] * 38470U + rgb[2] * 7471U + 0x8000U) >>
                                   16U);
}

/// The luma of a picture of any number of channels, as one channel.
Image luma_plane(const Image& image) {
  if (image.channels == 1) return image;
  Image plane(image.width, image.height, 1);
  const std::size_t pixels = image.width * image.height;
  const std::uint8_t* in = image.pixels.data();
  for (std::size_t i = 0; i < pixels; ++i, in += image.channels) plane.pixels[i] = luma(in);
  return plane;
}

// ---- Gaussian ----

/// weights[k] for the distances 0 to the reach of three deviations, normalised.
std::vector<float> gaussian_weights(double sigma) {
  const auto reach = static_cast<std::size_t>(std::max(1.0, std::ceil(3.0 * sigma)));
  std::vector<double> exact(reach + 1);
  double total = 0.0;
  for (std::size_t k = 0; k <= reach; ++k) {
    const double distance = static_cast<double>(k) / sigma;
    exact[k] = std::exp(-0.5 * distance * distance);
    total += k == 0 ? exact[k] : 2.0 * exact[k];
  }
  std::vector<float> weights(reach + 1);
  std::transform(exact.begin(), exact.end(), weights.begin(),
                 [total](double weight) { return static_cast<float>(weight / total); });
  return weights;
}

void load_row(const Image& image, std::size_t y, float* out) {
  const std::uint8_t* in = image.row(y);
  const std::size_t size = image.row_size();
  if (!image.has_alpha()) {
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<float>(in[i]);
    return;
  }
  for (std::size_t i = 0; i < size; i += 4) {
    const float alpha = static_cast<float>(in[i + 3]) / 255.0F;
    for (std::size_t c = 0; c < 3; ++c) out[i + c] = static_cast<float>(in[i + c]) * alpha;
    out[i + 3] = static_cast<float>(in[i + 3]);
  }
}

/// Bytes of straight alpha from a row of floats whose colours are multiplied by it.
void store_premultiplied(const float* in, std::size_t size, std::uint8_t* out) {
  for (std::size_t i = 0; i < size; i += 4) {
    const float alpha = in[i + 3];
    const float scale = alpha > 0.0F ? 255.0F / alpha : 0.0F;
    for (std::size_t c = 0; c < 3; ++c) out[i + c] = kernels::to_byte_clamped(in[i + c] * scale);
    out[i + 3] = kernels::to_byte_clamped(alpha);
  }
}

/// Repeats the first and the last pixel `reach` times beyond the row.
void extend_row(float* row, std::size_t size, std::size_t channels, std::size_t reach) {
  for (std::size_t i = 0; i < reach * channels; ++i) {
    row[size + i] = row[size - channels + i % channels];
    *(row - 1 - i) = row[channels - 1 - i % channels];
  }
}

/// Blurs row by row in place: down the columns into one row of floats, then along that row.
/// Only the last 2 * reach + 1 source rows are kept, as floats, in a ring that stays in the cache.
///
/// `finish(y, original, in, size)` stores row y: `original` is the source row (premultiplied where
/// there is alpha), `in` describes the sum along the blurred row.
template <class Finish>
void gaussian_rows(Image& image, double sigma, const Finish& finish) {
  const std::vector<float> weights = gaussian_weights(sigma);
  const std::size_t reach = weights.size() - 1;
  const std::size_t size = image.row_size();
  const std::size_t kept = std::min(2 * reach + 1, image.height);
  const std::size_t margin = reach * image.channels;

  Floats ring(kept * size);
  Floats blurred(size + 2 * margin);
  std::vector<const float*> above(reach + 1), below(reach + 1), left(reach + 1), right(reach + 1);
  const auto ring_row = [&](std::size_t y) { return ring.data() + (y % kept) * size; };
  float* const middle = blurred.data() + margin;
  for (std::size_t k = 1; k <= reach; ++k) {
    left[k] = middle - k * image.channels;
    right[k] = middle + k * image.channels;
  }

  std::size_t loaded = 0;
  for (std::size_t y = 0; y < image.height; ++y) {
    for (; loaded < image.height && loaded <= y + reach; ++loaded) {
      load_row(image, loaded, ring_row(loaded));
    }
    for (std::size_t k = 1; k <= reach; ++k) {
      above[k] = ring_row(y < k ? 0 : y - k);
      below[k] = ring_row(std::min(y + k, image.height - 1));
    }
    kernels::convolve_row({ring_row(y), above.data(), below.data(), weights.data(), reach}, size,
                          kernels::StoreFloat{middle});
    extend_row(middle, size, image.channels, reach);
    finish(y, ring_row(y),
           kernels::Symmetric{middle, left.data(), right.data(), weights.data(), reach}, size);
  }
}

/// Sharpens colours against the blurred ones and leaves alpha alone.
void sharpen_alpha_row(const float* blurred, std::size_t size, float amount, std::uint8_t* row) {
  for (std::size_t i = 0; i < size; i += 4) {
    const float scale = blurred[i + 3] > 0.0F ? 255.0F / blurred[i + 3] : 0.0F;
    for (std::size_t c = 0; c < 3; ++c) {
      const auto original = static_cast<float>(row[i + c]);
      row[i + c] =
          kernels::to_byte_clamped(original + amount * (original - blurred[i + c] * scale));
    }
  }
}

// ---- resize ----

/// For each sample of the result: the first source sample it reads, and its weights.
struct Axis {
  std::vector<std::size_t> first;
  std::vector<std::size_t> count;
  std::vector<float> weights;  // `stride` for each sample
  std::size_t stride = 0;

  const float* weights_of(std::size_t i) const { return weights.data() + i * stride; }
};

// Keys' cubic with a = -0.5 (Catmull and Rom's spline), as in Pillow.
double cubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

Axis cubic_axis(std::size_t from, std::size_t to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to);
  const double widen = std::max(scale, 1.0);  // antialiasing: the kernel covers what it replaces
  const double support = 2.0 * widen;
  Axis axis;
  axis.stride = static_cast<std::size_t>(std::ceil(support)) * 2 + 1;
  axis.first.resize(to);
  axis.count.resize(to);
  axis.weights.assign(to * axis.stride, 0.0F);
  std::vector<double> exact(axis.stride);
  for (std::size_t i = 0; i < to; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto low = static_cast<std::size_t>(std::max(0.0, centre - support + 0.5));
    const auto high = std::min(from, static_cast<std::size_t>(centre + support + 0.5));
    double total = 0.0;
    for (std::size_t k = low; k < high; ++k) {
      exact[k - low] = cubic((static_cast<double>(k) + 0.5 - centre) / widen);
      total += exact[k - low];
    }
    axis.first[i] = low;
    axis.count[i] = high - low;
    for (std::size_t k = 0; k < high - low; ++k) {
      axis.weights[i * axis.stride + k] = static_cast<float>(exact[k] / total);
    }
  }
  return axis;
}

/// One row of the result, along the row. With 3 channels a vector of four is summed: the fourth
/// lane reads the next pixel (or the row's padding) and is not stored.
template <std::size_t Channels>
void resize_along_row(const float* row, const Axis& axis, std::size_t width, float* out) {
  using Pixel = float __attribute__((vector_size(16)));
  for (std::size_t x = 0; x < width; ++x, out += Channels) {
    const float* weights = axis.weights_of(x);
    const float* in = row + axis.first[x] * Channels;
    if constexpr (Channels == 1) {
      float sum = 0.0F;
      for (std::size_t k = 0; k < axis.count[x]; ++k) sum += weights[k] * in[k];
      *out = sum;
    } else {
      Pixel sum = {}, pixel;
      for (std::size_t k = 0; k < axis.count[x]; ++k, in += Channels) {
        std::memcpy(&pixel, in, sizeof pixel);
        sum += weights[k] * pixel;
      }
      std::memcpy(out, &sum, Channels * sizeof(float));
    }
  }
}

void resize_along_row(const float* row, const Axis& axis, std::size_t width, std::size_t channels,
                      float* out) {
  switch (channels) {
    case 1:
      return resize_along_row<1>(row, axis, width, out);
    case 3:
      return resize_along_row<3>(row, axis, width, out);
    default:
      return resize_along_row<4>(row, axis, width, out);
  }
}

void premultiply(Image& image) {
  for (std::size_t i = 0; i < image.pixels.size(); i += 4) {
    std::uint8_t* pixel = image.pixels.data() + i;
    for (std::size_t c = 0; c < 3; ++c) {
      pixel[c] = static_cast<std::uint8_t>((pixel[c] * pixel[3] + 127) / 255);
    }
  }
}

// ---- turns ----

/// Pixel (x, y) of the result is source[origin + x * step_x + y * step_y], all in pixels.
struct Turn {
  std::ptrdiff_t origin, step_x, step_y;
  bool swaps_sides;
};

Turn turn_of(int orientation, std::ptrdiff_t width, std::ptrdiff_t height) {
  const std::ptrdiff_t last_row = (height - 1) * width;
  switch (orientation) {
    case 2:
      return {width - 1, -1, width, false};
    case 3:
      return {last_row + width - 1, -1, -width, false};
    case 4:
      return {last_row, 1, -width, false};
    case 5:
      return {0, width, 1, true};
    case 6:
      return {last_row, -width, 1, true};
    case 7:
      return {last_row + width - 1, -width, -1, true};
    case 8:
      return {width - 1, width, -1, true};
    default:
      return {0, 1, width, false};
  }
}

/// Copies in tiles: a quarter turn walks down columns, which would miss the cache at each pixel.
template <std::size_t Channels>
void copy_turned(const Image& from, Image& to, const Turn& turn) {
  constexpr std::size_t tile = 32;
  for (std::size_t top = 0; top < to.height; top += tile) {
    for (std::size_t left = 0; left < to.width; left += tile) {
      const std::size_t bottom = std::min(to.height, top + tile);
      const std::size_t right = std::min(to.width, left + tile);
      for (std::size_t y = top; y < bottom; ++y) {
        std::uint8_t* out = to.row(y) + left * Channels;
        std::ptrdiff_t at = turn.origin + static_cast<std::ptrdiff_t>(y) * turn.step_y +
                            static_cast<std::ptrdiff_t>(left) * turn.step_x;
        for (std::size_t x = left; x < right; ++x, out += Channels, at += turn.step_x) {
          std::memcpy(out, from.pixels.data() + at * static_cast<std::ptrdiff_t>(Channels),
                      Channels);
        }
      }
    }
  }
}

}  // namespace

void grayscale(Image& image) {
  if (image.channels == 1) return;
  if (!image.has_alpha()) {
    image = luma_plane(image);
    return;
  }
  for (std::size_t i = 0; i < image.pixels.size(); i += 4) {
    std::uint8_t* pixel = image.pixels.data() + i;
    std::fill_n(pixel, 3, luma(pixel));
  }
}

void gaussian_blur(Image& image, double sigma) {
  Floats row(image.has_alpha() ? image.row_size() : 0);
  gaussian_rows(image, sigma, [&](std::size_t y, const float*, const auto& in, std::size_t size) {
    if (!image.has_alpha()) {
      return kernels::convolve_row(in, size, kernels::StoreByte{image.row(y)});
    }
    kernels::convolve_row(in, size, kernels::StoreFloat{row.data()});
    store_premultiplied(row.data(), size, image.row(y));
  });
}

void sharpen(Image& image, double amount, double sigma) {
  const auto factor = static_cast<float>(amount);
  Floats row(image.has_alpha() ? image.row_size() : 0);
  gaussian_rows(image, sigma,
                [&](std::size_t y, const float* original, const auto& in, std::size_t size) {
                  if (!image.has_alpha()) {
                    return kernels::convolve_row(
                        in, size, kernels::StoreSharpened{image.row(y), original, factor});
                  }
                  kernels::convolve_row(in, size, kernels::StoreFloat{row.data()});
                  sharpen_alpha_row(row.data(), size, factor, image.row(y));
                });
}

void edges(Image& image) {
  const Image plane = luma_plane(image);
  Image result(image.width, image.height, 1);
  const std::size_t width = plane.width;
  // Three rows of the plane with their first and last pixel repeated.
  std::vector<std::uint8_t> rows[3];
  for (auto& row : rows) row.resize(width + 2);
  const auto fill = [&](std::vector<std::uint8_t>& row, std::size_t y) {
    std::copy_n(plane.row(y), width, row.begin() + 1);
    row.front() = row[1];
    row.back() = row[width];
  };
  fill(rows[0], 0);
  fill(rows[1], 0);
  for (std::size_t y = 0; y < plane.height; ++y) {
    fill(rows[2], std::min(y + 1, plane.height - 1));
    const std::uint8_t *up = rows[0].data(), *mid = rows[1].data(), *down = rows[2].data();
    std::uint8_t* out = result.row(y);
    for (std::size_t x = 0; x < width; ++x) {
      const int across =
          (up[x + 2] + 2 * mid[x + 2] + down[x + 2]) - (up[x] + 2 * mid[x] + down[x]);
      const int along =
          (down[x] + 2 * down[x + 1] + down[x + 2]) - (up[x] + 2 * up[x + 1] + up[x + 2]);
      const auto square = static_cast<float>(across * across + along * along);
      out[x] = kernels::to_byte_clamped(std::sqrt(square));
    }
    std::swap(rows[0], rows[1]);
    std::swap(rows[1], rows[2]);
  }
  image = std::move(result);
}

void sepia(Image& image, double strength) {
  if (image.channels == 1) {
    Image rgb(image.width, image.height, 3);
    for (std::size_t i = 0; i < image.pixels.size(); ++i) {
      std::fill_n(rgb.pixels.data() + 3 * i, 3, image.pixels[i]);
    }
    image = std::move(rgb);
  }
  static constexpr double tint[3][3] = {
      {0.393, 0.769, 0.189}, {0.349, 0.686, 0.168}, {0.272, 0.534, 0.131}};
  float mix[3][3];
  for (std::size_t to = 0; to < 3; ++to) {
    for (std::size_t from = 0; from < 3; ++from) {
      const double same = to == from ? 1.0 : 0.0;
      mix[to][from] = static_cast<float>(same + strength * (tint[to][from] - same));
    }
  }
  for (std::size_t i = 0; i < image.pixels.size(); i += image.channels) {
    std::uint8_t* pixel = image.pixels.data() + i;
    const auto r = static_cast<float>(pixel[0]), g = static_cast<float>(pixel[1]),
               b = static_cast<float>(pixel[2]);
    for (std::size_t c = 0; c < 3; ++c) {
      pixel[c] = kernels::to_byte_clamped(mix[c][0] * r + mix[c][1] * g + mix[c][2] * b);
    }
  }
}

void resize(Image& image, std::size_t width, std::size_t height) {
  if (width == image.width && height == image.height) return;
  if (image.has_alpha()) premultiply(image);
  const Axis across = cubic_axis(image.width, width);
  const Axis down = cubic_axis(image.height, height);
  Image result(width, height, image.channels);
  Floats mixed(image.row_size() + 1);  // one more: see resize_along_row
  mixed.back() = 0.0F;
  Floats row(result.row_size());
  std::vector<const std::uint8_t*> rows(down.stride);
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t k = 0; k < down.count[y]; ++k) rows[k] = image.row(down.first[y] + k);
    kernels::mix_rows(rows.data(), down.weights_of(y), down.count[y], image.row_size(),
                      mixed.data());
    resize_along_row(mixed.data(), across, width, image.channels, row.data());
    if (image.has_alpha()) {
      store_premultiplied(row.data(), row.size(), result.row(y));
    } else {
      std::transform(row.begin(), row.end(), result.row(y),
                     [](float value) { return kernels::to_byte_clamped(value); });
    }
  }
  image = std::move(result);
}

void apply_orientation(Image& image, int orientation) {
  if (orientation <= 1 || orientation > 8) return;
  const Turn turn = turn_of(orientation, static_cast<std::ptrdiff_t>(image.width),
                            static_cast<std::ptrdiff_t>(image.height));
  Image result = turn.swaps_sides ? Image(image.height, image.width, image.channels)
                                  : Image(image.width, image.height, image.channels);
  switch (image.channels) {
    case 1:
      copy_turned<1>(image, result, turn);
      break;
    case 3:
      copy_turned<3>(image, result, turn);
      break;
    default:
      copy_turned<4>(image, result, turn);
      break;
  }
  image = std::move(result);
}

}  // namespace image_processing
