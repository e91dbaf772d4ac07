// SPDX-License-Identifier: MIT

// libjpeg reports errors by a function that must not return. An exception may not pass through C
// code, so that function jumps (longjmp) back to the call; between the two lie only trivial
// objects.

#include "jpeg.hpp"

#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
// jpeglib.h needs size_t and FILE declared before it.
#include <jpeglib.h>

namespace image_processing {
namespace {

// A progressive JPEG may hold any number of passes over the whole picture: a small file that takes
// minutes. Cameras and encoders write about ten.
constexpr int max_scans = 100;

/// libjpeg's error manager and what follows from it; libjpeg gets a pointer to the first member.
struct ErrorState {
  jpeg_error_mgr manager;
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void give_up(j_common_ptr info) {
  auto* state = reinterpret_cast<ErrorState*>(info->err);
  info->err->format_message(info, state->message);
  std::longjmp(state->back, 1);
}

/// Called with level -1 for damage that libjpeg can paper over, and with 0 and more for traces.
void give_up_on_warning(j_common_ptr info, int level) {
  if (level < 0) give_up(info);
}

void print_nothing(j_common_ptr) {}

void install(ErrorState& state, jpeg_error_mgr*& slot) {
  slot = jpeg_std_error(&state.manager);
  state.manager.error_exit = give_up;
  state.manager.emit_message = give_up_on_warning;
  state.manager.output_message = print_nothing;
}

void limit_scans(j_common_ptr info) {
  const auto* decoder = reinterpret_cast<jpeg_decompress_struct*>(info);
  if (decoder->input_scan_number <= max_scans) return;
  auto* state = reinterpret_cast<ErrorState*>(info->err);
  std::snprintf(state->message, sizeof state->message, "more than %d scans", max_scans);
  std::longjmp(state->back, 1);
}

struct Decoder {
  jpeg_decompress_struct info = {};
  ErrorState error = {};
  jpeg_progress_mgr progress = {};

  Decoder() { install(error, info.err); }
  ~Decoder() { jpeg_destroy_decompress(&info); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  [[noreturn]] void fail() const {
    throw PictureError("damaged or truncated JPEG: " + std::string(error.message));
  }
};

bool read_header(Decoder& decoder, const unsigned char* data, unsigned long size) {
  if (setjmp(decoder.error.back) != 0) return false;
  jpeg_create_decompress(&decoder.info);
  decoder.progress.progress_monitor = limit_scans;
  decoder.info.progress = &decoder.progress;
  jpeg_mem_src(&decoder.info, data, size);
  jpeg_read_header(&decoder.info, TRUE);
  return true;
}

bool read_rows(Decoder& decoder, unsigned char* pixels, std::size_t row_size) {
  if (setjmp(decoder.error.back) != 0) return false;
  jpeg_start_decompress(&decoder.info);
  while (decoder.info.output_scanline < decoder.info.output_height) {
    JSAMPROW row = pixels + decoder.info.output_scanline * row_size;
    jpeg_read_scanlines(&decoder.info, &row, 1);
  }
  jpeg_finish_decompress(&decoder.info);  // reads up to the end marker: without it, a warning
  return true;
}

/// Photoshop stores CMYK inverted (and says so by a marker); others need the inversion here.
Image rgb_of_cmyk(const Image& cmyk, bool inverted) {
  Image rgb(cmyk.width, cmyk.height, 3);
  const unsigned flip = inverted ? 0U : 255U;
  const std::uint8_t* in = cmyk.pixels.data();
  for (std::size_t i = 0; i < rgb.pixels.size(); i += 3, in += 4) {
    const unsigned black = in[3] ^ flip;
    for (std::size_t c = 0; c < 3; ++c) {
      rgb.pixels[i + c] = static_cast<std::uint8_t>(((in[c] ^ flip) * black + 127U) / 255U);
    }
  }
  return rgb;
}

struct Encoder {
  jpeg_compress_struct info = {};
  ErrorState error = {};
  unsigned char* data = nullptr;
  unsigned long size = 0;

  Encoder() { install(error, info.err); }
  ~Encoder() {
    jpeg_destroy_compress(&info);
    std::free(data);  // NOLINT(cppcoreguidelines-no-malloc): jpeg_mem_dest allocates it so
  }
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;
};

bool write(Encoder& encoder, const Image& image, int quality) {
  if (setjmp(encoder.error.back) != 0) return false;
  jpeg_compress_struct& info = encoder.info;
  jpeg_create_compress(&info);
  jpeg_mem_dest(&info, &encoder.data, &encoder.size);
  info.image_width = static_cast<JDIMENSION>(image.width);
  info.image_height = static_cast<JDIMENSION>(image.height);
  info.input_components = static_cast<int>(image.channels);
  info.in_color_space = image.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  jpeg_start_compress(&info, TRUE);
  while (info.next_scanline < info.image_height) {
    // libjpeg takes rows as mutable and does not change them.
    JSAMPROW row = const_cast<JSAMPROW>(image.row(info.next_scanline));
    jpeg_write_scanlines(&info, &row, 1);
  }
  jpeg_finish_compress(&info);
  return true;
}

}  // namespace

Image decode_jpeg(ByteView file, std::size_t max_pixels) {
  const auto decoder = std::make_unique<Decoder>();
  if (!read_header(*decoder, file.data(), file.size())) decoder->fail();
  jpeg_decompress_struct& info = decoder->info;
  check_size(info.image_width, info.image_height, max_pixels);
  const bool cmyk = info.num_components == 4;
  info.out_color_space = cmyk ? JCS_CMYK : info.num_components == 1 ? JCS_GRAYSCALE : JCS_RGB;
  Image image(info.image_width, info.image_height, cmyk ? 4 : info.num_components == 1 ? 1 : 3);
  if (!read_rows(*decoder, image.pixels.data(), image.row_size())) decoder->fail();
  return cmyk ? rgb_of_cmyk(image, info.saw_Adobe_marker != FALSE) : image;
}

Bytes encode_jpeg(const Image& image, int quality) {
  const auto encoder = std::make_unique<Encoder>();
  if (!write(*encoder, image, quality)) {
    throw PictureError("cannot be written as JPEG: " + std::string(encoder->error.message));
  }
  return Bytes(encoder->data, encoder->data + encoder->size);
}

}  // namespace image_processing
