// SPDX-License-Identifier: MIT
#pragma once

// stb_image and stb_image_write behind two functions that are safe to call on anything.

#include <cstddef>

#include "exif.hpp"
#include "image.hpp"

namespace image_processing {

/// Decodes PNG, BMP, TGA, PSD, and JPEG where libjpeg-turbo is missing.
/// @throws PictureError also when the data ends too early (stb would fill up with zeros)
Image stb_decode(ByteView file, std::size_t max_pixels);

Bytes stb_encode_png(const Image& image);
Bytes stb_encode_bmp(const Image& image);
Bytes stb_encode_jpeg(const Image& image, int quality);

}  // namespace image_processing
