// SPDX-License-Identifier: MIT

#include "image_processing/filter_chain.hpp"

#include <stdexcept>
#include <string>

#include "pictures.hpp"
#include "support/catch.hpp"

using image_processing::apply;
using image_processing::FilterChain;
using image_processing::Image;
using image_processing::parse_filter;
using image_processing::PictureError;
using image_processing::to_string;
using support::matchers::contains;

namespace {

constexpr std::size_t no_pixel_limit = 1'000'000'000;

FilterChain chain(const std::vector<std::string>& texts) {
  FilterChain filters;
  for (const std::string& text : texts) filters.push_back(parse_filter(text));
  return filters;
}

std::string size_after(const std::string& filter, std::size_t width, std::size_t height) {
  Image image(width, height, 1);
  std::fill(image.pixels.begin(), image.pixels.end(), std::uint8_t{9});
  apply(chain({filter}), image, 1, no_pixel_limit);
  return image_processing::size_text(image.width, image.height);
}

}  // namespace

TEST_CASE("image filters: what is read is written back in full") {
  CHECK(to_string(parse_filter("grayscale")) == "grayscale");
  CHECK(to_string(parse_filter("blur")) == "blur:2");
  CHECK(to_string(parse_filter("blur:0.5")) == "blur:0.5");
  CHECK(to_string(parse_filter("sharpen:1.5")) == "sharpen:1.5,2");
  CHECK(to_string(parse_filter("sharpen:1.5,3")) == "sharpen:1.5,3");
  CHECK(to_string(parse_filter("edges")) == "edges");
  CHECK(to_string(parse_filter("sepia:0.5")) == "sepia:0.5");
  CHECK(to_string(parse_filter("resize:25%")) == "resize:25%");
  CHECK(to_string(parse_filter("resize:800x")) == "resize:800x");
  CHECK(to_string(parse_filter("fit:800x600")) == "fit:800x600");
  CHECK(to_string(parse_filter("orient")) == "orient");
  CHECK(to_string(parse_filter("rotate:270")) == "rotate:270");
}

TEST_CASE("image filters: a filter that makes no sense is refused with its text and a reason") {
  const auto [text, reason] = GENERATE(table<std::string, std::string>({
      {"", "no such filter"},
      {"blurr", "no such filter (there are grayscale, blur"},
      {"blur:", "must be a number from 0.1 to 100, not \"\""},
      {"blur:two", "not \"two\""},
      {"blur:2x", "not \"2x\""},
      {"blur:nan", "must be a number"},
      {"blur:-1", "must be a number from 0.1"},
      {"blur:1e9", "to 100"},
      {"blur:2,3", "takes at most 1 number"},
      {"sharpen:1,2,3", "takes at most 2 numbers"},
      {"grayscale:1", "takes no arguments"},
      {"sepia:1.5", "strength must be a number from 0 to 1"},
      {"resize", "expects a size such as 25%"},
      {"resize:x", "expects a size"},
      {"resize:25", "expects a size"},
      {"resize:%", "percentage must be a number"},
      {"resize:0%", "percentage must be a number from 0.01 to 1000"},
      {"resize:0x5", "a side must be a whole number"},
      {"resize:5x70000", "not \"70000\""},
      {"resize:99999999999999999999x5", "a side must be"},
      {"fit:800x", "expects both sides"},
      {"rotate:45", "expects 90, 180 or 270"},
      {"rotate", "expects 90, 180 or 270"},
  }));
  CHECK_THROWS_AS(parse_filter(text), std::invalid_argument);
  CHECK_THROWS_WITH(parse_filter(text), contains("filter \"" + text + "\""));
  CHECK_THROWS_WITH(parse_filter(text), contains(reason));
}

TEST_CASE("image filters: resize and fit find the missing side") {
  CHECK(size_after("resize:25%", 400, 202) == "100x51");
  CHECK(size_after("resize:1%", 10, 10) == "1x1");
  CHECK(size_after("resize:30x20", 400, 200) == "30x20");
  CHECK(size_after("resize:100x", 400, 200) == "100x50");
  CHECK(size_after("resize:x100", 400, 200) == "200x100");
  CHECK(size_after("fit:100x100", 400, 200) == "100x50");
  CHECK(size_after("fit:100x100", 200, 400) == "50x100");
}

TEST_CASE("image filters: the order of a chain is kept") {
  Image first(40, 20, 3), second(40, 20, 3);
  first = second = pictures::noisy(40, 20, 3);
  apply(chain({"resize:30x10", "rotate:90"}), first, 1, no_pixel_limit);
  apply(chain({"rotate:90", "resize:30x10"}), second, 1, no_pixel_limit);
  CHECK(image_processing::size_text(first.width, first.height) == "10x30");
  CHECK(image_processing::size_text(second.width, second.height) == "30x10");
}

TEST_CASE("image filters: orient turns once, and only when it is in the chain") {
  Image image(40, 20, 1);
  std::fill(image.pixels.begin(), image.pixels.end(), std::uint8_t{9});
  SECTION("once") {
    apply(chain({"orient", "orient"}), image, 6, no_pixel_limit);
    CHECK(image.width == 20);
  }
  SECTION("not at all") {
    apply(chain({"grayscale"}), image, 6, no_pixel_limit);
    CHECK(image.width == 40);
  }
}

TEST_CASE("image filters: resize does not make more pixels than the limit") {
  Image image = pictures::noisy(100, 100, 1);
  CHECK_THROWS_AS(apply(chain({"resize:1000%"}), image, 1, 999'999), PictureError);
  CHECK_THROWS_WITH(apply(chain({"resize:65535x65535"}), image, 1, 1'000'000),
                    contains("would make 65535x65535 pixels, more than the limit of 1000000"));
  apply(chain({"resize:1000%"}), image, 1, 1'000'000);
  CHECK(image.width == 1000);
}
