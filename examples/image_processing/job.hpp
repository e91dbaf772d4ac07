// SPDX-License-Identifier: MIT
#pragma once

// One picture's work as a plain function of plain values, so that it runs as well in a thread as in
// another process. Paths travel, pixels do not.

#include <cereal/types/string.hpp>
#include <cereal/types/vector.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "codec.hpp"
#include "filter_chain.hpp"

namespace image_processing {

struct Limits {
  std::size_t max_pixels = 100'000'000;
  std::size_t max_file_size = 256'000'000;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(max_pixels, max_file_size);
  }
};

struct Job {
  std::string input;
  std::string output;
  std::string refusal;  // not empty: why this picture must not be processed
  FilterChain filters;
  Format format = Format::png;
  int quality = 85;
  Limits limits;
  bool overwrite = false;
  bool wants_thumbnails = false;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(input, output, refusal, filters, format, quality, limits, overwrite, wants_thumbnails);
  }
};

/// A small RGB picture that goes into the contact sheet; empty when there is none.
struct Thumbnail {
  std::size_t width = 0;
  std::size_t height = 0;
  std::vector<std::uint8_t> pixels;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(width, height, pixels);
  }
};

/// Seconds of one picture, by stage; reading belongs to decoding and writing to encoding.
struct Stages {
  double decode = 0.0;
  double filter = 0.0;
  double encode = 0.0;

  double total() const { return decode + filter + encode; }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(decode, filter, encode);
  }
};

struct Outcome {
  std::string failure;  // empty on success
  std::size_t width_before = 0, height_before = 0;
  std::size_t width_after = 0, height_after = 0;
  Stages seconds;
  Thumbnail before, after;

  bool ok() const { return failure.empty(); }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(failure, width_before, height_before, width_after, height_after, seconds, before,
            after);
  }
};

/// The sides of the box that a thumbnail fits in.
inline constexpr std::size_t thumbnail_width = 160, thumbnail_height = 120;

/// Reads, filters and writes one picture. Whatever goes wrong is in the outcome.
Outcome process_picture(const Job& job);

}  // namespace image_processing
