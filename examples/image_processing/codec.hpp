// SPDX-License-Identifier: MIT
#pragma once

// Picture files in memory to pixels and back. Counterparts: Image.open and Image.save.
//
// Made for pictures of strangers: sizes are read from the header and checked against the limits
// before anything is allocated, and what is cut off or damaged is an error, never half a picture.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "exif.hpp"
#include "image.hpp"

namespace image_processing {

enum class Format : std::uint8_t { jpeg, png, bmp, tga, psd, pnm };

std::string_view name_of(Format format);

struct Decoded {
  Image image;
  Format format = Format::png;
  int orientation = 1;  // EXIF, 1 to 8
};

/// Decodes a whole file.
/// @param name the file's name: TGA has no signature and is known by its extension alone
/// @throws PictureError with a reason in plain words
Decoded decode(ByteView file, std::string_view name, std::size_t max_pixels);

/// Encodes as JPEG (`quality` 1 to 100; what is transparent becomes white), PNG or BMP.
/// @throws PictureError when the format cannot hold the picture
Bytes encode(const Image& image, Format format, int quality);

}  // namespace image_processing
