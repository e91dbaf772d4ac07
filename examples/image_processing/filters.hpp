// SPDX-License-Identifier: MIT
#pragma once

// The filters on pixels. Counterparts: PIL.ImageOps, PIL.ImageFilter and PIL.Image.resize.
//
// All work on 1, 3 or 4 channels. Alpha is kept; where neighbours are mixed (blur, sharpen,
// resize) colours weigh by their alpha, so that invisible pixels do not bleed. The arithmetic is
// float in a fixed order: every run, thread and process gives the same bytes.

#include <cstddef>

#include "image.hpp"

namespace image_processing {

/// The luma of ITU-R 601, as Pillow's mode "L": 3 channels become 1, 4 stay 4.
void grayscale(Image& image);

/// Convolves with a Gaussian of standard deviation `sigma` (pixels), edges repeated; as Pillow's
/// GaussianBlur(radius=sigma), which approximates it by boxes. Time grows with sigma.
void gaussian_blur(Image& image, double sigma);

/// Unsharp mask: adds `amount` times what a blur of `sigma` takes away.
void sharpen(Image& image, double amount, double sigma);

/// The length of Sobel's gradient of the luma, cut at 255: one channel.
void edges(Image& image);

/// Tints towards brown; `strength` 0 changes nothing, 1 is the full effect.
void sepia(Image& image, double strength);

/// Bicubic (a = -0.5) with antialiasing, as Pillow's resize: when it shrinks, the kernel widens.
void resize(Image& image, std::size_t width, std::size_t height);

/// Undoes an EXIF orientation (1 to 8), as ImageOps.exif_transpose: mirrors and quarter turns.
void apply_orientation(Image& image, int orientation);

}  // namespace image_processing
