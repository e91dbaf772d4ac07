// SPDX-License-Identifier: MIT
#pragma once

// One picture's work as a plain function of plain values, so that it runs as well in a thread as in
// another process. Paths travel, pixels do not; for a sandbox, whose workers can open no files, the
// files' bytes do.

#include <cereal/types/string.hpp>
#include <cereal/types/vector.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "codec.hpp"
#include "filter_chain.hpp"
#include "image.hpp"

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
  Bytes content;  // of the input, for process_in_memory

  template <class Archive>
  void serialize(Archive& archive) {
    archive(input, output, refusal, filters, format, quality, limits, overwrite, wants_thumbnails,
            content);
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

/// Seconds of one picture, by stage. Reading belongs to decoding and writing to encoding, unless
/// another process does it.
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
  Bytes content;  // of the output, from process_in_memory

  bool ok() const { return failure.empty(); }
  template <class Archive>
  void serialize(Archive& archive) {
    archive(failure, width_before, height_before, width_after, height_after, seconds, before, after,
            content);
  }
};

/// The sides of the box that a thumbnail fits in.
inline constexpr std::size_t thumbnail_width = 160, thumbnail_height = 120;

/// Reads, filters and writes one picture. Whatever goes wrong is in the outcome.
Outcome process_picture(const Job& job);

// The same in three steps, of which the one in the middle touches no file.

/// The job with the content of its input, or with the reason why there is none.
Job with_content(Job job);
Outcome process_in_memory(const Job& job);
/// Writes what process_in_memory has made, and drops it.
void write_content(const Job& job, Outcome& outcome);

}  // namespace image_processing
