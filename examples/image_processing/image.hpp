// SPDX-License-Identifier: MIT
#pragma once

// A picture in memory: rows of interleaved 8-bit samples. Counterpart: PIL.Image.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace image_processing {

/// What is wrong with a picture or a file, in words for the person who gave it.
struct PictureError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Allocates without zeroing: every buffer here is written in full before it is read, and clearing
/// 8 megapixels first costs as much as a filter.
template <class T>
struct Uninitialised : std::allocator<T> {
  template <class U>
  struct rebind {
    using other = Uninitialised<U>;
  };
  Uninitialised() = default;
  template <class U>
  Uninitialised(const Uninitialised<U>&) noexcept {}  // NOLINT(google-explicit-constructor)

  template <class U>
  void construct(U* place) noexcept {
    ::new (static_cast<void*>(place)) U;
  }
  template <class U, class... Args>
  void construct(U* place, Args&&... args) {
    ::new (static_cast<void*>(place)) U(std::forward<Args>(args)...);
  }
};

template <class T>
using Buffer = std::vector<T, Uninitialised<T>>;
using Bytes = Buffer<std::uint8_t>;

/// Width, height (pixels) and `channels` samples a pixel: 1 grey, 3 RGB, 4 RGB and straight alpha.
struct Image {
  std::size_t width = 0;
  std::size_t height = 0;
  std::size_t channels = 0;
  Bytes pixels;

  Image() = default;
  Image(std::size_t w, std::size_t h, std::size_t c)
      : width(w), height(h), channels(c), pixels(w * h * c) {}

  std::size_t row_size() const { return width * channels; }
  std::uint8_t* row(std::size_t y) { return pixels.data() + y * row_size(); }
  const std::uint8_t* row(std::size_t y) const { return pixels.data() + y * row_size(); }
  bool has_alpha() const { return channels == 4; }
};

inline std::string size_text(std::size_t width, std::size_t height) {
  return std::to_string(width) + "x" + std::to_string(height);
}

/// Refuses decompression bombs: called with a header's size before anything is allocated for it.
inline void check_size(std::size_t width, std::size_t height, std::size_t max_pixels) {
  if (width == 0 || height == 0) throw PictureError("a picture without pixels");
  if (height <= max_pixels / width) return;
  throw PictureError("too large: " + size_text(width, height) + " pixels, more than the limit of " +
                     std::to_string(max_pixels));
}

}  // namespace image_processing
