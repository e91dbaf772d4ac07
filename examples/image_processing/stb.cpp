// SPDX-License-Identifier: MIT

// The implementations of stb, restricted to the formats we read, with an allocator that keeps a
// file from claiming much more memory than its header announces: stb inflates a PNG's data to its
// end, however small the picture.

#include "stb.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

namespace {

thread_local std::size_t stb_budget = 0;

void* budgeted_realloc(void* block, std::size_t size) {
  if (size > stb_budget) return nullptr;
  stb_budget -= size;
  return std::realloc(block, size);  // NOLINT: stb is C
}

void* budgeted_malloc(std::size_t size) { return budgeted_realloc(nullptr, size); }

/// In this file stb is C++, so an exception may pass through it (what it had allocated is lost).
[[noreturn]] void assertion_failed() {
  throw image_processing::PictureError("damaged in a way that the decoder does not expect");
}

}  // namespace

#define STBI_MALLOC(size) budgeted_malloc(size)
#define STBI_REALLOC(block, size) budgeted_realloc(block, size)
#define STBI_FREE(block) std::free(block)
#define STBI_ASSERT(condition) ((condition) ? static_cast<void>(0) : assertion_failed())
#define STBI_FAILURE_USERMSG
#define STBI_NO_STDIO
#define STBI_NO_GIF
#define STBI_NO_HDR
#define STBI_NO_LINEAR
#define STBI_NO_PIC
#define STBI_NO_PNM  // see pnm.hpp
#if IMAGE_PROCESSING_HAS_LIBJPEG
#define STBI_NO_JPEG
#endif
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"  // where our macros meet stb's casts
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace image_processing {
namespace {

/// A file in memory as stb reads it, noting when it wants more than there is: most of its readers
/// take zeros then and report nothing.
struct Source {
  ByteView rest;
  bool starved = false;
};

int read(void* user, char* out, int size) {
  auto& source = *static_cast<Source*>(user);
  const std::size_t taken = std::min(static_cast<std::size_t>(size), source.rest.size());
  if (taken == 0) source.starved = size > 0;
  if (taken > 0) std::memcpy(out, source.rest.data(), taken);
  source.rest = source.rest.subspan(taken);
  return static_cast<int>(taken);
}

void skip(void* user, int size) {
  auto& source = *static_cast<Source*>(user);
  if (size > 0) {
    source.rest = source.rest.subspan(std::min(static_cast<std::size_t>(size), source.rest.size()));
  }
}

int at_end(void* user) { return static_cast<Source*>(user)->rest.empty() ? 1 : 0; }

constexpr stbi_io_callbacks callbacks{read, skip, at_end};

struct Free {
  void operator()(stbi_uc* pixels) const { stbi_image_free(pixels); }
};

[[noreturn]] void fail() {
  throw PictureError("damaged or of an unknown kind: " + std::string(stbi_failure_reason()));
}

/// Everything that decoding may allocate in all: the pixels (at 16 bits, and once more while they
/// are converted) and the compressed data while it is collected.
std::size_t budget(std::size_t width, std::size_t height, std::size_t file_size) {
  constexpr std::size_t fixed = std::size_t{1} << 20U;
  return fixed + 32 * width * height + 8 * file_size;
}

/// 1, 3 or 4 channels of `pixels`; grey with alpha becomes 4, and alpha that hides nothing goes.
Image take_over(const stbi_uc* pixels, std::size_t width, std::size_t height,
                std::size_t channels) {
  const std::size_t count = width * height;
  const auto alpha_at = [&](std::size_t i) { return pixels[(i + 1) * channels - 1]; };
  bool opaque = true;
  if (channels % 2 == 0) {
    for (std::size_t i = 0; i < count && opaque; ++i) opaque = alpha_at(i) == 255;
  }
  const std::size_t kept = opaque ? (channels <= 2 ? 1 : 3) : 4;
  Image image(width, height, kept);
  if (kept == channels) {
    std::copy_n(pixels, image.pixels.size(), image.pixels.data());
    return image;
  }
  for (std::size_t i = 0; i < count; ++i) {
    std::uint8_t* out = image.pixels.data() + i * kept;
    const stbi_uc* in = pixels + i * channels;
    for (std::size_t c = 0; c < std::min<std::size_t>(kept, 3); ++c)
      out[c] = in[channels < 3 ? 0 : c];
    if (kept == 4) out[3] = alpha_at(i);
  }
  return image;
}

void append(void* user, void* data, int size) {
  auto& bytes = *static_cast<Bytes*>(user);
  const auto* begin = static_cast<const std::uint8_t*>(data);
  bytes.insert(bytes.end(), begin, begin + size);
}

struct Sides {
  int width, height, channels;
  const void* pixels;
};

/// stb measures in int.
Sides sides_of(const Image& image) {
  if (image.pixels.size() > 0x7FFFFFFF) throw PictureError("too large to be written");
  return {static_cast<int>(image.width), static_cast<int>(image.height),
          static_cast<int>(image.channels), image.pixels.data()};
}

Bytes written(Bytes bytes, int success) {
  if (success == 0 || bytes.empty()) throw PictureError("cannot be encoded");
  return bytes;
}

}  // namespace

Image stb_decode(ByteView file, std::size_t max_pixels) {
  int width = 0, height = 0, channels = 0;
  stb_budget = budget(0, 0, file.size());
  Source source{file};
  if (stbi_info_from_callbacks(&callbacks, &source, &width, &height, &channels) == 0) fail();
  const auto w = static_cast<std::size_t>(std::max(width, 0));
  const auto h = static_cast<std::size_t>(std::max(height, 0));
  check_size(w, h, max_pixels);

  stb_budget = budget(w, h, file.size());
  source = {file};
  const std::unique_ptr<stbi_uc, Free> pixels(
      stbi_load_from_callbacks(&callbacks, &source, &width, &height, &channels, 0));
  if (source.starved) throw PictureError("truncated: the file ends before the picture does");
  if (!pixels) fail();
  return take_over(pixels.get(), w, h, static_cast<std::size_t>(channels));
}

Bytes stb_encode_png(const Image& image) {
  const Sides sides = sides_of(image);
  Bytes bytes;
  const int success = stbi_write_png_to_func(append, &bytes, sides.width, sides.height,
                                             sides.channels, sides.pixels, 0);
  return written(std::move(bytes), success);
}

Bytes stb_encode_bmp(const Image& image) {
  const Sides sides = sides_of(image);
  Bytes bytes;
  const int success = stbi_write_bmp_to_func(append, &bytes, sides.width, sides.height,
                                             sides.channels, sides.pixels);
  return written(std::move(bytes), success);
}

Bytes stb_encode_jpeg(const Image& image, int quality) {
  const Sides sides = sides_of(image);
  Bytes bytes;
  const int success = stbi_write_jpg_to_func(append, &bytes, sides.width, sides.height,
                                             sides.channels, sides.pixels, quality);
  return written(std::move(bytes), success);
}

}  // namespace image_processing
