// SPDX-License-Identifier: MIT
#pragma once

// Portable pixmaps, binary PGM (P5) and PPM (P6). Read here rather than by stb_image, which ignores
// the greatest value and reads samples of 16 bits in the machine's byte order.

#include <cstddef>
#include <cstdint>
#include <string>

#include "exif.hpp"
#include "image.hpp"

namespace image_processing {

class PnmReader {
 public:
  explicit PnmReader(ByteView file) : file_(file) {}

  Image read(std::size_t max_pixels) {
    const std::size_t channels = file_[1] == '6' ? 3 : 1;
    at_ = 2;
    const std::size_t width = header_number(), height = header_number();
    const std::size_t greatest = header_number();
    if (greatest == 0 || greatest > 65535)
      throw PictureError("damaged PNM: no valid greatest value");
    check_size(width, height, max_pixels);
    const std::size_t size = width * height * channels;
    const std::size_t sample_size = greatest > 255 ? 2 : 1;
    if (++at_ > file_.size() || file_.size() - at_ < size * sample_size) {
      throw PictureError("truncated PNM: " + std::to_string(size * sample_size) +
                         " bytes of pixels announced, fewer are there");
    }
    Image image(width, height, channels);
    const std::uint8_t* in = file_.data() + at_;
    for (std::size_t i = 0; i < size; ++i, in += sample_size) {
      const std::size_t sample = sample_size == 2 ? in[0] * 256U + in[1] : in[0];
      const std::size_t scaled = (sample * 255 + greatest / 2) / greatest;
      image.pixels[i] = static_cast<std::uint8_t>(scaled < 255 ? scaled : 255);
    }
    return image;
  }

 private:
  static bool is_space(std::uint8_t c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

  /// The next number of the header, after white space and comments.
  std::size_t header_number() {
    while (at_ < file_.size() && (is_space(file_[at_]) || file_[at_] == '#')) {
      if (file_[at_] == '#') {
        while (at_ < file_.size() && file_[at_] != '\n') ++at_;
      } else {
        ++at_;
      }
    }
    const std::size_t begin = at_;
    std::size_t value = 0;
    for (; at_ < file_.size() && file_[at_] >= '0' && file_[at_] <= '9' && at_ - begin < 9; ++at_) {
      value = value * 10 + (file_[at_] - std::size_t{'0'});
    }
    if (at_ == begin || at_ >= file_.size() || !is_space(file_[at_])) {
      throw PictureError("damaged or truncated PNM: its header makes no sense");
    }
    return value;
  }

  ByteView file_;
  std::size_t at_ = 0;
};

inline bool is_pnm(ByteView file) {
  return file.size() >= 3 && (starts_with(file, "P5") || starts_with(file, "P6"));
}

}  // namespace image_processing
