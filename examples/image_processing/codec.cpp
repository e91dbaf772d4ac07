// SPDX-License-Identifier: MIT

// Tells the formats apart and hands each to its decoder.

#include "codec.hpp"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "png_check.hpp"
#include "pnm.hpp"
#include "stb.hpp"
#if IMAGE_PROCESSING_HAS_LIBJPEG
#include "jpeg.hpp"
#endif

namespace image_processing {
namespace {

using namespace std::string_view_literals;

bool ends_with_no_case(std::string_view text, std::string_view ending) {
  if (text.size() < ending.size()) return false;
  return std::equal(
      ending.begin(), ending.end(), text.end() - static_cast<long>(ending.size()),
      [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); });
}

Format identify(ByteView file, std::string_view name) {
  if (starts_with(file, "\xFF\xD8\xFF"sv)) return Format::jpeg;
  if (starts_with(file, "\x89PNG\r\n\x1A\n"sv)) return Format::png;
  if (starts_with(file, "BM"sv)) return Format::bmp;
  if (starts_with(file, "8BPS"sv)) return Format::psd;
  if (is_pnm(file)) return Format::pnm;
  if (ends_with_no_case(name, ".tga"sv)) return Format::tga;
  throw PictureError(
      "not a picture of a kind that is read here (JPEG, PNG, BMP, TGA, PSD, PGM, PPM)");
}

/// An uncompressed TGA says how long it must be; stb would leave what is missing uninitialised.
void check_tga(ByteView file) {
  constexpr std::size_t header_size = 18;
  if (file.size() < header_size) throw PictureError("truncated TGA: its header is cut off");
  const std::uint32_t kind = file[2];
  const NumberReader reader(file, false);
  const std::size_t colours = file[1] == 1 ? reader.u16(5) * ((file[7] + 7U) / 8U) : 0;
  const std::size_t pixels = std::size_t{reader.u16(12)} * reader.u16(14) * ((file[16] + 7U) / 8U);
  const bool compressed = kind >= 9;
  const std::size_t expected = header_size + file[0] + colours + (compressed ? 1 : pixels);
  if (file.size() < expected) {
    throw PictureError("truncated TGA: the file ends before the picture does");
  }
}

#if !IMAGE_PROCESSING_HAS_LIBJPEG
Image decode_jpeg(ByteView file, std::size_t max_pixels) { return stb_decode(file, max_pixels); }
Bytes encode_jpeg(const Image& image, int quality) { return stb_encode_jpeg(image, quality); }
#endif

/// What shows of the picture on white.
Image on_white(const Image& image) {
  Image result(image.width, image.height, 3);
  const std::uint8_t* in = image.pixels.data();
  for (std::size_t i = 0; i < result.pixels.size(); i += 3, in += 4) {
    for (std::size_t c = 0; c < 3; ++c) {
      const unsigned mixed = in[c] * in[3] + 255U * (255U - in[3]);
      result.pixels[i + c] = static_cast<std::uint8_t>((mixed + 127U) / 255U);
    }
  }
  return result;
}

}  // namespace

std::string_view name_of(Format format) {
  switch (format) {
    case Format::jpeg:
      return "JPEG";
    case Format::png:
      return "PNG";
    case Format::bmp:
      return "BMP";
    case Format::tga:
      return "TGA";
    case Format::psd:
      return "PSD";
    case Format::pnm:
      return "PNM";
  }
  return "?";
}

Decoded decode(ByteView file, std::string_view name, std::size_t max_pixels) {
  Decoded result;
  result.format = identify(file, name);
  switch (result.format) {
    case Format::jpeg:
      result.orientation = jpeg_orientation(file);
      result.image = decode_jpeg(file, max_pixels);
      return result;
    case Format::pnm:
      result.image = PnmReader(file).read(max_pixels);
      return result;
    case Format::png:
      check_png(file, max_pixels);
      result.orientation = png_orientation(file);
      break;
    case Format::tga:
      check_tga(file);
      break;
    default:
      break;
  }
  result.image = stb_decode(file, max_pixels);
  return result;
}

Bytes encode(const Image& image, Format format, int quality) {
  constexpr std::size_t greatest_side = 65535;
  switch (format) {
    case Format::jpeg:
      if (std::max(image.width, image.height) > greatest_side) {
        throw PictureError(size_text(image.width, image.height) + " pixels are too many for JPEG");
      }
      return encode_jpeg(image.has_alpha() ? on_white(image) : image, quality);
    case Format::bmp:
      return stb_encode_bmp(image);
    default:
      return stb_encode_png(image);
  }
}

}  // namespace image_processing
