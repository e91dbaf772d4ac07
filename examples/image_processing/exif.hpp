// SPDX-License-Identifier: MIT
#pragma once

// The orientation that a camera stored with a JPEG or PNG. Counterpart: Image.getexif()[0x0112].

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace image_processing {

using ByteView = std::span<const std::uint8_t>;

inline bool starts_with(ByteView bytes, std::string_view magic) {
  if (bytes.size() < magic.size()) return false;
  for (std::size_t i = 0; i < magic.size(); ++i) {
    if (bytes[i] != static_cast<std::uint8_t>(magic[i])) return false;
  }
  return true;
}

/// Unsigned integers of either byte order; beyond the end of the data all bytes are 0.
class NumberReader {
 public:
  NumberReader(ByteView bytes, bool big_endian) : bytes_(bytes), big_endian_(big_endian) {}

  std::uint32_t u16(std::size_t at) const {
    return big_endian_ ? byte(at) << 8U | byte(at + 1) : byte(at + 1) << 8U | byte(at);
  }
  std::uint32_t u32(std::size_t at) const {
    return big_endian_ ? u16(at) << 16U | u16(at + 2) : u16(at + 2) << 16U | u16(at);
  }

 private:
  std::uint32_t byte(std::size_t at) const { return at < bytes_.size() ? bytes_[at] : 0U; }

  ByteView bytes_;
  bool big_endian_;
};

/// The orientation (1 to 8) in a TIFF block, 1 where there is none or it makes no sense.
inline int tiff_orientation(ByteView tiff) {
  const bool big_endian = starts_with(tiff, "MM");
  if (!big_endian && !starts_with(tiff, "II")) return 1;
  const NumberReader reader(tiff, big_endian);
  if (reader.u16(2) != 42) return 1;
  const std::size_t directory = reader.u32(4);
  const std::size_t entries = reader.u16(directory);
  constexpr std::size_t entry_size = 12;
  constexpr std::uint32_t orientation_tag = 0x0112, type_short = 3;
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * entry_size;
    if (reader.u16(entry) != orientation_tag || reader.u16(entry + 2) != type_short) continue;
    const std::uint32_t value = reader.u16(entry + 8);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

inline int jpeg_orientation(ByteView jpeg) {
  const NumberReader reader(jpeg, true);
  std::size_t at = 2;  // after the start-of-image marker
  while (at + 4 <= jpeg.size() && jpeg[at] == 0xFF) {
    const std::uint32_t marker = reader.u16(at);
    if (marker == 0xFFDA || marker == 0xFFD9) break;  // the pixels begin, or the file ends
    const std::size_t size = reader.u16(at + 2);
    if (size < 2 || size > jpeg.size() - at - 2) break;
    const ByteView body = jpeg.subspan(at + 4, size - 2);
    using namespace std::string_view_literals;
    if (marker == 0xFFE1 && starts_with(body, "Exif\0\0"sv)) {
      return tiff_orientation(body.subspan(6));
    }
    at += 2 + size;
  }
  return 1;
}

inline int png_orientation(ByteView png) {
  const NumberReader reader(png, true);
  std::size_t at = 8;  // after the signature
  while (at + 12 <= png.size()) {
    const std::size_t size = reader.u32(at);
    if (size > png.size() - at - 12) break;
    if (starts_with(png.subspan(at + 4), "eXIf"))
      return tiff_orientation(png.subspan(at + 8, size));
    at += 12 + size;
  }
  return 1;
}

}  // namespace image_processing
