// SPDX-License-Identifier: MIT
#pragma once

// Small pictures and folders for the tests of image_processing.

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>

#include "image_processing/codec.hpp"
#include "image_processing/files.hpp"
#include "image_processing/image.hpp"

namespace pictures {

namespace fs = std::filesystem;
using image_processing::Bytes;
using image_processing::ByteView;
using image_processing::Format;
using image_processing::Image;

/// Noise on a gradient with a sharp edge: everything a filter could get wrong.
inline Image noisy(std::size_t width, std::size_t height, std::size_t channels, unsigned seed = 1) {
  Image image(width, height, channels);
  std::mt19937 random(seed);
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t x = 0; x < width; ++x) {
      for (std::size_t c = 0; c < channels; ++c) {
        const std::size_t slope = x * 120 / width + y * 60 / height + (x > width / 2 ? 75 : 0);
        image.row(y)[x * channels + c] = static_cast<std::uint8_t>((slope + random() % 40) % 256);
      }
    }
  }
  return image;
}

/// Without noise: what JPEG keeps well.
inline Image smooth(std::size_t width, std::size_t height) {
  Image image(width, height, 3);
  for (std::size_t y = 0; y < height; ++y) {
    for (std::size_t x = 0; x < width; ++x) {
      std::uint8_t* pixel = image.row(y) + 3 * x;
      pixel[0] = static_cast<std::uint8_t>(x * 255 / width);
      pixel[1] = static_cast<std::uint8_t>(y * 255 / height);
      pixel[2] = 128;
    }
  }
  return image;
}

/// A folder that goes away with its contents at the end of the test.
class Folder {
 public:
  Folder() {
    std::string name = (fs::temp_directory_path() / "image_processing-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed for " + name);
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  fs::path operator/(const fs::path& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

inline void write(const fs::path& path, ByteView bytes) {
  image_processing::write_file_whole(path, bytes, true);
}

inline void write_picture(const fs::path& path, const Image& image, Format format = Format::png) {
  write(path, encode(image, format, 90));
}

inline Bytes read(const fs::path& path) {
  return image_processing::read_file(path.string(), std::size_t{1} << 30U);
}

inline Image read_picture(const fs::path& path) {
  return decode(read(path), path.string(), 100'000'000).image;
}

/// How many files lie in the folder and below, hidden ones included.
inline std::size_t count_files(const fs::path& folder) {
  std::size_t count = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    count += entry.is_regular_file() ? 1U : 0U;
  }
  return count;
}

}  // namespace pictures
