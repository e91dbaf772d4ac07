// SPDX-License-Identifier: MIT

// Damaged files of all formats, the same ones on every run: whatever comes, the decoder answers
// with a picture within its limits or with a PictureError. Worth most under ASan and UBSan.

#include <algorithm>
#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include "image_processing/codec.hpp"
#include "image_processing/made_pictures.hpp"
#include "image_processing/png_check.hpp"
#include "pictures.hpp"
#include "support/catch.hpp"

using image_processing::Bytes;
using image_processing::Format;
using image_processing::Image;

namespace {

constexpr std::size_t max_pixels = 1'000'000;

class Damage {
 public:
  explicit Damage(unsigned seed) : random_(seed) {}

  /// One to five changes: bytes flipped, set, cut out, repeated, or the end cut off.
  Bytes of(Bytes file) {
    for (std::size_t changes = 1 + below(5); changes > 0; --changes) change(file);
    return file;
  }

 private:
  std::size_t below(std::size_t limit) { return random_() % limit; }
  /// Mostly in the first part, where headers and tables are.
  std::size_t place(const Bytes& file) {
    return below(below(2) == 0 ? std::min<std::size_t>(file.size(), 64) : file.size());
  }

  void change(Bytes& file) {
    if (file.empty()) return file.push_back(static_cast<std::uint8_t>(random_()));
    const std::size_t at = place(file);
    const auto from = file.begin() + static_cast<std::ptrdiff_t>(at);
    const std::size_t size = std::min(file.size() - at, 1 + below(8));
    switch (below(6)) {
      case 0:
        file[at] ^= static_cast<std::uint8_t>(1U << below(8));
        break;
      case 1:
        file[at] = static_cast<std::uint8_t>(random_());
        break;
      case 2:
        std::fill_n(from, size, static_cast<std::uint8_t>(below(2) * 255));
        break;
      case 3:
        file.erase(from, from + static_cast<std::ptrdiff_t>(size));
        break;
      case 4: {
        const Bytes copy(from, from + static_cast<std::ptrdiff_t>(size));
        file.insert(from, copy.begin(), copy.end());
        break;
      }
      default:
        file.resize(at);
        break;
    }
  }

  std::mt19937 random_;
};

/// TGA with run lengths, which stb writes nowhere else in this program.
Bytes compressed_tga() {
  Bytes file{0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 8, 0, 24, 0x20};
  for (int i = 0; i < 8; ++i) {
    for (const int value : {0x87, 10, 20, 30, 0x07})
      file.push_back(static_cast<std::uint8_t>(value));
    for (int j = 0; j < 24; ++j) file.push_back(static_cast<std::uint8_t>(i * 24 + j));
  }
  return file;
}

/// An 8-bit BMP with a palette.
Bytes palette_bmp() {
  Bytes file(54 + 256 * 4 + 16 * 8, 0);
  const auto put = [&file](std::size_t at, std::size_t value) {
    for (std::size_t i = 0; i < 4; ++i) file[at + i] = static_cast<std::uint8_t>(value >> (8 * i));
  };
  file[0] = 'B';
  file[1] = 'M';
  put(2, file.size());
  put(10, 54 + 256 * 4);
  put(14, 40);
  put(18, 16);
  put(22, 8);
  file[26] = 1;
  file[28] = 8;
  for (std::size_t i = 54; i < file.size(); ++i) file[i] = static_cast<std::uint8_t>(i * 7);
  return file;
}

std::vector<Bytes> valid_files() {
  std::vector<Bytes> files{compressed_tga(), palette_bmp()};
  for (const Format format :
       {Format::jpeg, Format::png, Format::bmp, Format::tga, Format::psd, Format::pnm}) {
    image_processing::Recipe recipe;
    recipe.format = format;
    recipe.orientation = format == Format::jpeg ? 6 : 1;
    files.push_back(encode_made(pictures::noisy(23, 17, 3), recipe));
  }
  for (const std::size_t channels : {1U, 4U}) {
    const Image image = pictures::noisy(23, 17, channels);
    files.push_back(encode(image, Format::png, 0));
    files.push_back(encode(image, Format::bmp, 0));
    files.push_back(encode(image, Format::jpeg, 50));
  }
  return files;
}

/// PNG's checksums catch nearly all damage; put right, they let it through to the decoder.
void repair_checksums(Bytes& file) {
  const image_processing::NumberReader reader(file, true);
  std::size_t at = 8;
  while (file.size() >= 12 && at <= file.size() - 12) {
    const std::size_t size = reader.u32(at);
    if (size > file.size() - at - 12) return;
    const std::uint32_t crc =
        image_processing::Crc32::of(image_processing::ByteView(file).subspan(at + 4, size + 4));
    for (std::size_t i = 0; i < 4; ++i) {
      file[at + 8 + size + i] = static_cast<std::uint8_t>(crc >> (24 - 8 * i));
    }
    at += 12 + size;
  }
}

struct Tally {
  std::size_t pictures = 0, errors = 0, broken = 0;
};

void feed(const Bytes& file, Tally& tally) {
  try {
    const image_processing::Decoded result =
        image_processing::decode(file, "picture.tga", max_pixels);
    const Image& image = result.image;
    ++tally.pictures;
    const bool sound = image.width * image.height <= max_pixels && image.width > 0 &&
                       image.height > 0 &&
                       image.pixels.size() == image.width * image.height * image.channels &&
                       result.orientation >= 1 && result.orientation <= 8;
    tally.broken += sound ? 0U : 1U;
  } catch (const image_processing::PictureError&) {
    ++tally.errors;
  }
}

}  // namespace

TEST_CASE("image codec: damaged files give a picture or an error, never a crash") {
  Damage damage(20'230'904);
  Tally tally;
  for (const Bytes& file : valid_files()) {
    REQUIRE_NOTHROW(image_processing::decode(file, "picture.tga", max_pixels));
    for (int round = 0; round < 600; ++round) {
      Bytes damaged = damage.of(file);
      if (round % 2 == 0 && image_processing::starts_with(damaged, "\x89PNG")) {
        repair_checksums(damaged);
      }
      feed(damaged, tally);
    }
  }
  CHECK(tally.broken == 0);
  CHECK(tally.pictures > 100);
  CHECK(tally.errors > 1000);
}
