// SPDX-License-Identifier: MIT

// One picture from file to file.

#include "job.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "files.hpp"
#include "filters.hpp"

namespace image_processing {
namespace {

using Clock = std::chrono::steady_clock;

/// Seconds since the last call.
class Stopwatch {
 public:
  double lap() {
    const Clock::time_point now = Clock::now();
    return std::chrono::duration<double>(now - std::exchange(last_, now)).count();
  }

 private:
  Clock::time_point last_ = Clock::now();
};

Image rgb_of(const Image& image) {
  if (image.channels == 3) return image;
  Image rgb(image.width, image.height, 3);
  const std::uint8_t* in = image.pixels.data();
  for (std::size_t i = 0; i < rgb.pixels.size(); i += 3, in += image.channels) {
    for (std::size_t c = 0; c < 3; ++c) rgb.pixels[i + c] = image.channels == 1 ? in[0] : in[c];
  }
  return rgb;
}

/// Every n-th pixel of every n-th row, with n such that at least four times the thumbnail is left:
/// reading all of a large picture for its thumbnail would cost as much as a filter.
Image sampled(const Image& image) {
  const std::size_t step = std::max<std::size_t>(
      1, std::min(image.width / (4 * thumbnail_width), image.height / (4 * thumbnail_height)));
  if (step == 1) return rgb_of(image);
  Image few(image.width / step, image.height / step, image.channels);
  for (std::size_t y = 0; y < few.height; ++y) {
    const std::uint8_t* in = image.row(y * step);
    std::uint8_t* out = few.row(y);
    for (std::size_t x = 0; x < few.width; ++x, out += image.channels) {
      std::copy_n(in + x * step * image.channels, image.channels, out);
    }
  }
  return rgb_of(few);
}

Thumbnail thumbnail_of(const Image& image) {
  Image small = sampled(image);
  const double scale =
      std::min({1.0, static_cast<double>(thumbnail_width) / static_cast<double>(small.width),
                static_cast<double>(thumbnail_height) / static_cast<double>(small.height)});
  const auto side = [scale](std::size_t n) {
    return std::max<std::size_t>(1, static_cast<std::size_t>(static_cast<double>(n) * scale));
  };
  resize(small, side(small.width), side(small.height));
  return {small.width, small.height, {small.pixels.begin(), small.pixels.end()}};
}

/// From bytes to bytes. `read` gives the input, `write` takes the output.
template <class Read, class Write>
void process(const Job& job, Outcome& outcome, const Read& read, const Write& write) {
  if (!job.refusal.empty()) throw PictureError(job.refusal);
  Stopwatch watch;
  Decoded decoded = decode(read(), job.input, job.limits.max_pixels);
  Image& image = decoded.image;
  outcome.seconds.decode = watch.lap();
  outcome.width_before = image.width;
  outcome.height_before = image.height;
  if (job.wants_thumbnails) outcome.before = thumbnail_of(image);

  watch.lap();
  apply(job.filters, image, decoded.orientation, job.limits.max_pixels);
  outcome.seconds.filter = watch.lap();
  outcome.width_after = image.width;
  outcome.height_after = image.height;
  if (job.wants_thumbnails) outcome.after = thumbnail_of(image);

  watch.lap();
  write(encode(image, job.format, job.quality));
  outcome.seconds.encode = watch.lap();
}

/// Why `step` failed; empty if it did not.
template <class Step>
std::string failure_of(const Step& step) {
  try {
    step();
    return {};
  } catch (const std::bad_alloc&) {
    return "not enough memory";
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

Outcome process_picture(const Job& job) {
  Outcome outcome;
  outcome.failure = failure_of([&] {
    process(
        job, outcome, [&] { return read_file(job.input, job.limits.max_file_size); },
        [&](const Bytes& bytes) { write_file_whole(job.output, bytes, job.overwrite); });
  });
  return outcome;
}

Job with_content(Job job) {
  if (!job.refusal.empty()) return job;
  job.refusal = failure_of([&] { job.content = read_file(job.input, job.limits.max_file_size); });
  return job;
}

Outcome process_in_memory(const Job& job) {
  Outcome outcome;
  outcome.failure = failure_of([&] {
    process(
        job, outcome, [&]() -> const Bytes& { return job.content; },
        [&](Bytes bytes) { outcome.content = std::move(bytes); });
  });
  return outcome;
}

void write_content(const Job& job, Outcome& outcome) {
  if (!outcome.ok()) return;
  outcome.failure =
      failure_of([&] { write_file_whole(job.output, outcome.content, job.overwrite); });
  outcome.content = {};
}

}  // namespace image_processing
