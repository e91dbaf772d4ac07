// SPDX-License-Identifier: MIT

// Paints the motifs. All of it is arithmetic on coordinates and a fixed hash: no random device, no
// state, so a picture depends on its recipe alone.

#include "made_pictures.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "files.hpp"
#include "filters.hpp"
#include "kernels.hpp"

namespace image_processing {
namespace {

struct Colour {
  float r, g, b;
};

Colour mix(const Colour& a, const Colour& b, float t) {
  return {a.r + (b.r - a.r) * t, a.g + (b.g - a.g) * t, a.b + (b.b - a.b) * t};
}

/// A number in [0, 1) that belongs to a point of the grid.
float hash(int x, int y) {
  auto h =
      static_cast<std::uint32_t>(x) * 0x9E3779B1U + static_cast<std::uint32_t>(y) * 0x85EBCA77U;
  h = (h ^ (h >> 15U)) * 0x2C1B3C6DU;
  h = (h ^ (h >> 13U)) * 0x297A2D39U;
  return static_cast<float>((h ^ (h >> 16U)) >> 8U) / 16777216.0F;
}

/// Smooth noise: hashes at whole coordinates, blended between them.
float noise(float x, float y) {
  const int ix = static_cast<int>(x), iy = static_cast<int>(y);  // never negative here
  float tx = x - static_cast<float>(ix), ty = y - static_cast<float>(iy);
  tx *= tx * (3.0F - 2.0F * tx);
  ty *= ty * (3.0F - 2.0F * ty);
  const float upper = hash(ix, iy) + (hash(ix + 1, iy) - hash(ix, iy)) * tx;
  const float lower = hash(ix, iy + 1) + (hash(ix + 1, iy + 1) - hash(ix, iy + 1)) * tx;
  return upper + (lower - upper) * ty;
}

float layered_noise(float x, float y, int layers) {
  float sum = 0.0F, weight = 0.5F;
  for (int i = 0; i < layers; ++i, x *= 2.0F, y *= 2.0F, weight *= 0.5F)
    sum += weight * noise(x, y);
  return sum;
}

// Each painter gets x and y in units of the picture's height and returns a colour of 0 to 255.

struct Landscape {
  float x, y;
  Colour operator()() const {
    const Colour sky = mix({70.0F, 120.0F, 200.0F}, {250.0F, 210.0F, 170.0F}, y);
    const Colour cloudy = mix(sky, {245.0F, 245.0F, 250.0F}, layered_noise(x * 3.0F, y * 7.0F, 3));
    const float far = 0.45F + 0.25F * noise(x * 3.0F, 7.0F);
    const float near = 0.65F + 0.3F * noise(x * 5.0F + 50.0F, 3.0F);
    const float grain = layered_noise(x * 60.0F, y * 60.0F, 2);
    if (y > near) return mix({30.0F, 60.0F, 25.0F}, {120.0F, 140.0F, 60.0F}, grain);
    if (y > far) return mix({90.0F, 100.0F, 120.0F}, {150.0F, 160.0F, 170.0F}, grain);
    return cloudy;
  }
};

struct Plasma {
  float x, y;
  Colour operator()() const {
    const float wave = layered_noise(x * 4.0F, y * 4.0F, 4) * 20.0F;
    return {127.5F + 127.0F * std::sin(wave), 127.5F + 127.0F * std::sin(wave + 2.1F),
            127.5F + 127.0F * std::sin(wave + 4.2F)};
  }
};

struct Bubbles {
  float x, y;
  Colour operator()() const {
    Colour colour = mix({20.0F, 30.0F, 60.0F}, {60.0F, 20.0F, 80.0F}, y);
    constexpr float cells = 6.0F;
    const float left = std::floor(x * cells), top = std::floor(y * cells);
    const int ix = static_cast<int>(left), iy = static_cast<int>(top);
    const float radius = 0.2F + 0.28F * hash(ix, iy);
    const float dx = x * cells - left - 0.5F, dy = y * cells - top - 0.5F;
    const float distance = dx * dx + dy * dy;
    if (distance < radius * radius) {
      const float light = 1.0F - distance / (radius * radius);
      colour = mix({255.0F * hash(ix + 9, iy), 255.0F * hash(ix, iy + 9), 200.0F},
                   {255.0F, 255.0F, 255.0F}, light * light);
    }
    return colour;
  }
};

/// Rings that get finer towards the edge: what a bad resize turns into false patterns.
struct TestCard {
  float x, y;
  Colour operator()() const {
    const float dx = x - 0.7F, dy = y - 0.5F;
    const float value = 127.5F + 127.0F * std::cos(900.0F * (dx * dx + dy * dy));
    if (y > 0.9F) return {255.0F * x / 1.4F, 255.0F - 180.0F * x, 128.0F};
    return {value, value, value};
  }
};

struct Weave {
  float x, y;
  Colour operator()() const {
    const float across = 0.5F + 0.5F * std::sin(x * 160.0F),
                down = 0.5F + 0.5F * std::sin(y * 160.0F);
    const float wear = layered_noise(x * 20.0F, y * 20.0F, 3);
    return {60.0F + 150.0F * across * wear, 50.0F + 120.0F * down * wear, 90.0F + 80.0F * wear};
  }
};

struct Crystals {
  float x, y;
  Colour operator()() const {
    const float u = x * 9.0F + 2.0F * noise(x * 3.0F, y * 3.0F), v = y * 9.0F;
    const int iu = static_cast<int>(u + v), iv = static_cast<int>(u - v + 1000.0F);
    const float shade = 0.55F + 0.45F * hash(iu, iv);
    return {230.0F * shade, (120.0F + 120.0F * hash(iv, iu)) * shade, 200.0F * shade};
  }
};

template <class Painter>
void paint_with(Image& image) {
  const float unit = 1.0F / static_cast<float>(image.height);
  for (std::size_t y = 0; y < image.height; ++y) {
    std::uint8_t* out = image.row(y);
    for (std::size_t x = 0; x < image.width; ++x, out += image.channels) {
      const Painter painter{static_cast<float>(x) * unit, static_cast<float>(y) * unit};
      const Colour colour = painter();
      out[0] = kernels::to_byte_clamped(colour.r);
      out[1] = kernels::to_byte_clamped(colour.g);
      out[2] = kernels::to_byte_clamped(colour.b);
      if (image.has_alpha()) {
        out[3] = kernels::to_byte_clamped(300.0F * static_cast<float>(y) * unit);
      }
    }
  }
}

/// A little noise, as a camera adds: flat areas would make the files unnaturally small.
void add_grain(Image& image) {
  for (std::size_t y = 0; y < image.height; ++y) {
    std::uint8_t* pixel = image.row(y);
    for (std::size_t x = 0; x < image.width; ++x, pixel += image.channels) {
      const float grain = 8.0F * hash(static_cast<int>(x), static_cast<int>(y)) - 4.0F;
      for (std::size_t c = 0; c < 3; ++c) {
        pixel[c] = kernels::to_byte_clamped(static_cast<float>(pixel[c]) + grain);
      }
    }
  }
}

/// Undoes what `orient` will do: quarter turns to the left and right undo each other, the others
/// themselves.
int opposite_of(int orientation) {
  return orientation == 6 ? 8 : orientation == 8 ? 6 : orientation;
}

void append_u16(Bytes& out, std::size_t value) {
  out.push_back(static_cast<std::uint8_t>(value >> 8U));
  out.push_back(static_cast<std::uint8_t>(value));
}

void append_u32(Bytes& out, std::size_t value) {
  append_u16(out, value >> 16U & 0xFFFFU);
  append_u16(out, value & 0xFFFFU);
}

void append(Bytes& out, std::string_view text) {
  for (const char c : text) out.push_back(static_cast<std::uint8_t>(c));
}

/// Puts an EXIF segment with one entry, the orientation, behind the start of a JPEG.
Bytes with_orientation(const Bytes& jpeg, int orientation) {
  using namespace std::string_view_literals;
  Bytes out(jpeg.begin(), jpeg.begin() + 2);
  append_u16(out, 0xFFE1);
  append_u16(out, 34);
  append(out, "Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01"sv);
  append_u16(out, static_cast<std::size_t>(orientation));
  append(out, "\0\0\0\0\0\0"sv);
  out.insert(out.end(), jpeg.begin() + 2, jpeg.end());
  return out;
}

Bytes encode_ppm(const Image& image) {
  Bytes out;
  append(out, "P6\n# made by image_processing\n" + std::to_string(image.width) + " " +
                  std::to_string(image.height) + "\n255\n");
  out.insert(out.end(), image.pixels.begin(), image.pixels.end());
  return out;
}

Bytes encode_tga(const Image& image) {
  Bytes out(18, 0);
  const auto put = [&out](std::size_t at, std::size_t value) {
    out[at] = static_cast<std::uint8_t>(value);
    out[at + 1] = static_cast<std::uint8_t>(value >> 8U);
  };
  out[2] = 2;  // colours, not compressed
  put(12, image.width);
  put(14, image.height);
  out[16] = 24;
  out[17] = 0x20;  // the first row is the top
  for (std::size_t i = 0; i < image.pixels.size(); i += 3) {
    for (std::size_t c = 3; c-- > 0;) out.push_back(image.pixels[i + c]);
  }
  return out;
}

Bytes encode_psd(const Image& image) {
  using namespace std::string_view_literals;
  Bytes out;
  append(out, "8BPS\0\x01\0\0\0\0\0\0\0\x03"sv);
  append_u32(out, image.height);
  append_u32(out, image.width);
  append(out, "\0\x08\0\x03"sv);                  // 8 bits, RGB
  append(out, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0"sv);  // no palette, resources, layers; raw
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t i = c; i < image.pixels.size(); i += 3) out.push_back(image.pixels[i]);
  }
  return out;
}

constexpr std::string_view motif_names[] = {"landscape", "plasma", "bubbles",
                                            "test_card", "weave",  "crystals"};

struct Size {
  std::size_t width, height;
};

// 0.5 to 8 megapixels in shapes that cameras, screens and scanners make.
constexpr std::array<Size, 12> sizes{{{1600, 1200},
                                      {2048, 1536},
                                      {1024, 768},
                                      {3264, 2448},
                                      {1920, 1080},
                                      {1200, 1800},
                                      {2592, 1944},
                                      {960, 540},
                                      {1536, 2048},
                                      {2400, 1000},
                                      {1280, 1280},
                                      {2272, 1704}}};

constexpr std::string_view format_names[] = {"jpg", "png", "bmp", "tga", "psd", "ppm"};

Format format_of(std::size_t index) {
  switch (index % 12) {
    case 2:
      return Format::png;
    case 5:
      return index % 24 < 12 ? Format::bmp : Format::tga;
    case 7:
      return Format::png;
    case 10:
      return index % 24 < 12 ? Format::pnm : Format::psd;
    default:
      return Format::jpeg;
  }
}

}  // namespace

std::vector<Recipe> recipes(std::size_t count, const std::string& folder) {
  std::vector<Recipe> list;
  for (std::size_t i = 0; i < count; ++i) {
    Recipe recipe;
    const Size size = sizes[i % sizes.size()];
    recipe.width = size.width;
    recipe.height = size.height;
    recipe.motif = static_cast<Motif>((i + i / 12) % std::size(motif_names));
    recipe.format = format_of(i);
    if (recipe.format == Format::jpeg && i % 4 == 0)
      recipe.orientation = i % 8 == 0 ? 6 : i == 4 ? 8 : 3;
    recipe.transparent = recipe.format == Format::png && i % 24 == 7;
    const std::string number = std::to_string(i + 1);
    recipe.path = folder + "/" + (number.size() < 2 ? "0" : "") + number + "-" +
                  std::string(motif_names[static_cast<std::size_t>(recipe.motif)]) + "." +
                  std::string(format_names[static_cast<std::size_t>(recipe.format)]);
    list.push_back(std::move(recipe));
  }
  return list;
}

Image paint(const Recipe& recipe) {
  // At half size, then enlarged: four times less arithmetic, and grain makes up for the softness.
  Image image(recipe.width / 2, recipe.height / 2, recipe.transparent ? 4 : 3);
  switch (recipe.motif) {
    case Motif::landscape:
      paint_with<Landscape>(image);
      break;
    case Motif::plasma:
      paint_with<Plasma>(image);
      break;
    case Motif::bubbles:
      paint_with<Bubbles>(image);
      break;
    case Motif::test_card:
      paint_with<TestCard>(image);
      break;
    case Motif::weave:
      paint_with<Weave>(image);
      break;
    case Motif::crystals:
      paint_with<Crystals>(image);
      break;
  }
  resize(image, recipe.width, recipe.height);
  add_grain(image);
  apply_orientation(image, opposite_of(recipe.orientation));
  return image;
}

Bytes encode_made(const Image& image, const Recipe& recipe) {
  switch (recipe.format) {
    case Format::tga:
      return encode_tga(image);
    case Format::psd:
      return encode_psd(image);
    case Format::pnm:
      return encode_ppm(image);
    default:
      break;
  }
  Bytes bytes = encode(image, recipe.format, 90);
  return recipe.orientation == 1 ? bytes : with_orientation(bytes, recipe.orientation);
}

std::string make_picture(const Recipe& recipe) {
  try {
    std::error_code ignored;
    if (std::filesystem::exists(recipe.path, ignored)) return {};
    write_file_whole(recipe.path, encode_made(paint(recipe), recipe), false);
  } catch (const std::exception& error) {
    return recipe.path + ": " + error.what();
  }
  return {};
}

}  // namespace image_processing
