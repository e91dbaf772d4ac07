// SPDX-License-Identifier: MIT
#pragma once

// The filters as values: read from the command line, sent to a worker process, applied in order.

#include <cereal/types/variant.hpp>
#include <cereal/types/vector.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "image.hpp"

namespace image_processing {

struct Grayscale {
  template <class Archive>
  void serialize(Archive&) {}
};

struct Blur {
  double sigma = 2.0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(sigma);
  }
};

struct Sharpen {
  double amount = 1.0;
  double sigma = 2.0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(amount, sigma);
  }
};

struct Edges {
  template <class Archive>
  void serialize(Archive&) {}
};

struct Sepia {
  double strength = 1.0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(strength);
  }
};

/// By `factor` when that is not 0, else to width x height, where 0 follows from the aspect ratio;
/// with `fit`, as large as fits in both.
struct Resize {
  double factor = 0.0;
  std::size_t width = 0;
  std::size_t height = 0;
  bool fit = false;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(factor, width, height, fit);
  }
};

/// Turns the picture upright as its EXIF orientation says.
struct Orient {
  template <class Archive>
  void serialize(Archive&) {}
};

/// By 90, 180 or 270 degrees clockwise.
struct Rotate {
  int degrees = 90;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(degrees);
  }
};

using Filter = std::variant<Grayscale, Blur, Sharpen, Edges, Sepia, Resize, Orient, Rotate>;
using FilterChain = std::vector<Filter>;

/// One filter from "name" or "name:arguments", such as "blur:2" or "resize:25%".
/// @throws std::invalid_argument that quotes the text and says what is expected
Filter parse_filter(std::string_view text);

/// What `parse_filter` understands, one filter a line.
std::string_view filter_help();

/// As it would be written on the command line.
std::string to_string(const Filter& filter);
std::string to_string(const FilterChain& chain);

/// Applies all filters in order. `orientation` is the picture's EXIF orientation, 1 to 8.
/// @throws PictureError when a result would have more than `max_pixels`
void apply(const FilterChain& chain, Image& image, int orientation, std::size_t max_pixels);

}  // namespace image_processing
