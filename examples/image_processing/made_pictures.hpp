// SPDX-License-Identifier: MIT
#pragma once

// Pictures made by the program itself, for when there are no others: the same ones on every run.

#include <cereal/types/string.hpp>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "codec.hpp"

namespace image_processing {

enum class Motif : std::uint8_t { landscape, plasma, bubbles, test_card, weave, crystals };

/// What one made picture is to look like, and where it goes.
struct Recipe {
  std::string path;
  std::size_t width = 0;
  std::size_t height = 0;
  Motif motif = Motif::landscape;
  Format format = Format::jpeg;
  int orientation = 1;  // EXIF; JPEG only
  bool transparent = false;

  template <class Archive>
  void serialize(Archive& archive) {
    archive(path, width, height, motif, format, orientation, transparent);
  }
};

/// `count` recipes of 0.5 to 8 megapixels, of all motifs and in all formats, in `folder`.
std::vector<Recipe> recipes(std::size_t count, const std::string& folder);

/// Makes the picture, unless it is there from an earlier run. Returns what went wrong, or nothing.
std::string make_picture(const Recipe& recipe);

/// The pixels of a recipe as they are stored: with an orientation, they lie on their side.
Image paint(const Recipe& recipe);

/// A file of the recipe's format (also those that we read but do not offer for output).
Bytes encode_made(const Image& image, const Recipe& recipe);

}  // namespace image_processing
