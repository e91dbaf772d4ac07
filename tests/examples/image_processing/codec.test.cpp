// SPDX-License-Identifier: MIT

// Decoding and encoding: what is right comes back, what is wrong is refused with a reason.

#include "image_processing/codec.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "image_processing/filters.hpp"
#include "image_processing/made_pictures.hpp"
#include "image_processing/png_check.hpp"
#include "pictures.hpp"
#include "support/catch.hpp"

using image_processing::Bytes;
using image_processing::ByteView;
using image_processing::Decoded;
using image_processing::Format;
using image_processing::Image;
using image_processing::PictureError;
using image_processing::Recipe;
using pictures::noisy;
using pictures::smooth;
using support::matchers::contains;
using namespace std::string_view_literals;

namespace {

constexpr std::size_t no_limit = 100'000'000;

Bytes bytes(std::string_view text) {
  Bytes result;
  for (const char c : text) result.push_back(static_cast<std::uint8_t>(c));
  return result;
}

std::string name_for(Format format) { return format == Format::tga ? "picture.tga" : "picture"; }

/// A small file of any format that is read.
Bytes file_of(Format format, const Image& image) {
  Recipe recipe;
  recipe.format = format;
  return encode_made(image, recipe);
}

Decoded decoded(const Bytes& file, Format format, std::size_t limit = no_limit) {
  return image_processing::decode(file, name_for(format), limit);
}

constexpr Format all_formats[] = {Format::jpeg, Format::png, Format::bmp,
                                  Format::tga,  Format::psd, Format::pnm};

/// Writes a number of 4 bytes, the greatest first.
void put_u32(Bytes& file, std::size_t at, std::size_t value) {
  for (std::size_t i = 0; i < 4; ++i) {
    file[at + i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
  }
}

/// A PNG whose header announces another size, with a checksum that fits.
Bytes png_of_announced_size(const Image& image, std::size_t width, std::size_t height) {
  Bytes file = encode(image, Format::png, 0);
  put_u32(file, 16, width);
  put_u32(file, 20, height);
  put_u32(file, 29, image_processing::Crc32::of(ByteView(file).subspan(12, 17)));
  return file;
}

}  // namespace

TEST_CASE("image codec: formats without loss give the pixels back") {
  const Format format = GENERATE(Format::png, Format::bmp, Format::tga, Format::psd, Format::pnm);
  const Image image = noisy(37, 23, 3);
  const Decoded result = decoded(file_of(format, image), format);
  CHECK(result.format == format);
  CHECK(result.image.channels == 3);
  CHECK(result.image.width == 37);
  CHECK(result.image.pixels == image.pixels);
}

TEST_CASE("image codec: grey and transparent pictures survive PNG") {
  const std::size_t channels = GENERATE(1U, 4U);
  const Image image = noisy(37, 23, channels);
  const Decoded result = decoded(encode(image, Format::png, 0), Format::png);
  CHECK(result.image.channels == channels);
  CHECK(result.image.pixels == image.pixels);
}

TEST_CASE("image codec: JPEG comes back close, in colour and in grey") {
  Image image = smooth(64, 48);
  if (GENERATE(true, false)) grayscale(image);
  Decoded result = decoded(encode(image, Format::jpeg, 95), Format::jpeg);
  if (image.channels == 1) grayscale(result.image);  // stb writes grey as colour
  REQUIRE(result.image.pixels.size() == image.pixels.size());
  int greatest = 0;
  for (std::size_t i = 0; i < image.pixels.size(); ++i) {
    greatest = std::max(greatest, std::abs(image.pixels[i] - result.image.pixels[i]));
  }
  CHECK(greatest <= 8);
}

TEST_CASE("image codec: what is transparent becomes white in JPEG") {
  Image image(16, 16, 4);
  std::fill(image.pixels.begin(), image.pixels.end(), std::uint8_t{0});
  const Decoded result = decoded(encode(image, Format::jpeg, 95), Format::jpeg);
  CHECK(result.image.pixels.front() >= 253);
}

TEST_CASE("image codec: alpha that hides nothing is dropped") {
  Image image = noisy(9, 9, 4);
  for (std::size_t i = 3; i < image.pixels.size(); i += 4) image.pixels[i] = 255;
  CHECK(decoded(encode(image, Format::png, 0), Format::png).image.channels == 3);
}

TEST_CASE("image codec: a file cut off anywhere is an error") {
  const Format format = GENERATE(from_range(std::begin(all_formats), std::end(all_formats)));
  const Bytes file = file_of(format, noisy(12, 8, 3));
  INFO(image_processing::name_of(format) << " of " << file.size() << " bytes");
  REQUIRE_NOTHROW(decoded(file, format));
  std::size_t accepted = 0;
  for (std::size_t size = 0; size < file.size(); ++size) {
    try {
      static_cast<void>(
          decoded(Bytes(file.begin(), file.begin() + static_cast<long>(size)), format));
      ++accepted;
    } catch (const PictureError&) {
    }
  }
  CHECK(accepted == 0);
}

TEST_CASE("image codec: a PNG with a flipped bit is an error") {
  const Bytes file = encode(noisy(12, 8, 3), Format::png, 0);
  std::size_t accepted = 0;
  for (std::size_t i = 0; i < file.size(); ++i) {
    Bytes damaged = file;
    damaged[i] ^= 0x10U;
    try {
      static_cast<void>(decoded(damaged, Format::png));
      ++accepted;
    } catch (const PictureError&) {
    }
  }
  CHECK(accepted == 0);
}

TEST_CASE("image codec: a JPEG damaged in its pixels is an error, not a grey half picture") {
  Bytes file = encode(noisy(64, 64, 3), Format::jpeg, 90);
  const std::size_t middle = file.size() * 2 / 3;
  for (std::size_t i = 0; i < 40; ++i) file[middle + i] = 0xFF;
  CHECK_THROWS_AS(decoded(file, Format::jpeg), PictureError);
}

TEST_CASE("image codec: the limit of pixels is checked from the header") {
  const Format format = GENERATE(from_range(std::begin(all_formats), std::end(all_formats)));
  const Bytes file = file_of(format, noisy(20, 10, 3));
  CHECK_NOTHROW(decoded(file, format, 200));
  CHECK_THROWS_WITH(decoded(file, format, 199),
                    contains("20x10 pixels, more than the limit of 199"));
}

TEST_CASE("image codec: a header that announces a huge picture is refused at once") {
  SECTION("PNG") {
    CHECK_THROWS_WITH(decoded(png_of_announced_size(noisy(8, 8, 3), 60'000, 60'000), Format::png),
                      contains("too large: 60000x60000"));
  }
  SECTION("PNM") {
    CHECK_THROWS_WITH(decoded(bytes("P6 99999999 99999999 255\n"), Format::pnm),
                      contains("too large"));
  }
  SECTION("JPEG") {
    Bytes file = encode(noisy(8, 8, 3), Format::jpeg, 90);
    const auto frame =
        std::search(file.begin(), file.end(), std::begin("\xFF\xC0"), std::begin("\xFF\xC0") + 2,
                    [](std::uint8_t a, char b) { return a == static_cast<std::uint8_t>(b); });
    REQUIRE(frame != file.end());
    std::fill(frame + 5, frame + 9, std::uint8_t{0xF0});
    CHECK_THROWS_WITH(decoded(file, Format::jpeg), contains("too large: 61680x61680"));
  }
}

TEST_CASE("image codec: a PNG whose data inflates far beyond its header is refused") {
  Image zeros(4000, 4000, 1);
  std::fill(zeros.pixels.begin(), zeros.pixels.end(), std::uint8_t{0});
  const Bytes file = png_of_announced_size(zeros, 1, 1);
  REQUIRE(file.size() < 200'000);
  CHECK_THROWS_AS(decoded(file, Format::png), PictureError);
}

TEST_CASE("image codec: what is no picture is refused with a reason") {
  CHECK_THROWS_WITH(decoded(bytes("hello, I am text"), Format::png), contains("not a picture"));
  CHECK_THROWS_WITH(decoded(bytes("P3 1 1 255 1 2 3"), Format::pnm), contains("not a picture"));
  CHECK_THROWS_WITH(decoded(bytes("GIF89a..........."), Format::png), contains("not a picture"));
  CHECK_THROWS_AS(decoded(bytes("hello, I am text, and call me TGA"), Format::tga), PictureError);
}

TEST_CASE("image codec: PNM knows comments, greatest values and 16 bits") {
  const auto grey = [](std::string_view text) {
    const Image image = decoded(bytes(text), Format::pnm).image;
    return std::vector<int>(image.pixels.begin(), image.pixels.end());
  };
  CHECK(grey("P5 # a comment\n2 #x\n 1\n255\n\x01\x02"sv) == std::vector<int>{1, 2});
  CHECK(grey("P5 2 1 15\n\x0F\x05"sv) == std::vector<int>{255, 85});
  CHECK(grey("P5 2 1 65535\n\xFF\xFF\x80\x00"sv) == std::vector<int>{255, 128});
  CHECK_THROWS_AS(grey("P5 2 1 0\n\x01\x02"sv), PictureError);
  CHECK_THROWS_AS(grey("P5 2 1 70000\n\x01\x02\x03\x04"sv), PictureError);
  CHECK_THROWS_AS(grey("P5 0 1 255\n"sv), PictureError);
}

TEST_CASE("image codec: the EXIF orientation of a JPEG is found") {
  Recipe recipe;
  recipe.format = Format::jpeg;
  recipe.orientation = GENERATE(1, 3, 6, 8);
  const Bytes file = encode_made(smooth(16, 8), recipe);
  CHECK(decoded(file, Format::jpeg).orientation == recipe.orientation);
}

TEST_CASE("image codec: EXIF in either byte order, and none from nonsense") {
  const auto orientation = [](std::string_view text) {
    return image_processing::tiff_orientation(bytes(text));
  };
  CHECK(orientation("MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0"sv) == 6);
  CHECK(orientation("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0"sv) == 8);
  CHECK(orientation("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x09\0\0\0"sv) == 1);
  CHECK(orientation("II*\0\xFF\xFF\xFF\xFF\x01\0"sv) == 1);
  CHECK(orientation("II"sv) == 1);
  CHECK(orientation(""sv) == 1);
}

TEST_CASE("image codec: CRC-32 is the one of PNG") {
  CHECK(image_processing::Crc32::of(bytes("123456789")) == 0xCBF43926U);
  CHECK(image_processing::Crc32::of(bytes("12345678123456781")) == 0xD6B205CFU);
  CHECK(image_processing::Crc32::of({}) == 0U);
}

TEST_CASE("image codec: pictures too long for JPEG are refused") {
  CHECK_THROWS_WITH(encode(Image(65536, 1, 3), Format::jpeg, 90), contains("too many for JPEG"));
}
