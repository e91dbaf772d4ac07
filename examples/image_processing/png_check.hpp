// SPDX-License-Identifier: MIT
#pragma once

// Whether a PNG file is whole: stb_image verifies no checksum, so that damage would show as a
// wrong picture instead of an error.

#include <array>
#include <cstddef>
#include <cstdint>

#include "exif.hpp"
#include "image.hpp"

namespace image_processing {

/// CRC-32 as in PNG and zlib, eight bytes a step.
class Crc32 {
 public:
  static std::uint32_t of(ByteView bytes) {
    static const Crc32 tables;
    std::uint32_t crc = 0xFFFFFFFFU;
    while (bytes.size() >= 8) {
      std::uint32_t next = 0;
      for (std::size_t i = 0; i < 8; ++i) {
        const std::uint32_t mixed = i < 4 ? bytes[i] ^ ((crc >> (8U * i)) & 0xFFU) : bytes[i];
        next ^= tables.table_[7 - i][mixed];
      }
      crc = next;
      bytes = bytes.subspan(8);
    }
    for (const std::uint8_t byte : bytes) {
      crc = (crc >> 8U) ^ tables.table_[0][(crc ^ byte) & 0xFFU];
    }
    return ~crc;
  }

 private:
  Crc32() {
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) {
        crc = (crc & 1U) != 0 ? (crc >> 1U) ^ 0xEDB88320U : crc >> 1U;
      }
      table_[0][i] = crc;
    }
    for (std::size_t k = 1; k < 8; ++k) {
      for (std::size_t i = 0; i < 256; ++i) {
        const std::uint32_t before = table_[k - 1][i];
        table_[k][i] = (before >> 8U) ^ table_[0][before & 0xFFU];
      }
    }
  }

  std::array<std::array<std::uint32_t, 256>, 8> table_{};
};

/// Walks over all chunks. @throws PictureError when one is cut off or damaged, the end is missing,
/// or the header announces more than `max_pixels`
inline void check_png(ByteView png, std::size_t max_pixels) {
  const NumberReader reader(png, true);
  std::size_t at = 8;  // after the signature
  for (;;) {
    if (png.size() - at < 12) throw PictureError("truncated PNG: its end is missing");
    const std::size_t size = reader.u32(at);
    if (size > png.size() - at - 12) throw PictureError("truncated PNG: a chunk is cut off");
    if (Crc32::of(png.subspan(at + 4, size + 4)) != reader.u32(at + 8 + size)) {
      throw PictureError("damaged PNG: a checksum does not match");
    }
    if (at == 8) check_size(reader.u32(at + 8), reader.u32(at + 12), max_pixels);
    if (starts_with(png.subspan(at + 4), "IEND")) return;
    at += 12 + size;
  }
}

}  // namespace image_processing
