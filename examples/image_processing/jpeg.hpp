// SPDX-License-Identifier: MIT
#pragma once

// JPEG through libjpeg-turbo, which decodes 2.5 times and encodes 7 times faster than stb.

#include <cstddef>

#include "exif.hpp"
#include "image.hpp"

namespace image_processing {

/// @throws PictureError also for damage that libjpeg would only warn of
Image decode_jpeg(ByteView file, std::size_t max_pixels);

/// 1 or 3 channels.
Bytes encode_jpeg(const Image& image, int quality);

}  // namespace image_processing
