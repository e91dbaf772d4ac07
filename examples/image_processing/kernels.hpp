// SPDX-License-Identifier: MIT
#pragma once

// The inner loops of the filters. Each runs over one contiguous row, so that the compiler
// vectorises it, and is compiled twice: for the baseline and for AVX2, chosen at run time. (Not by
// target_clones: its resolvers run before a sanitiser's runtime is ready.) AVX2 comes without FMA,
// so that both give the same bits.

#include <cstddef>
#include <cstdint>

namespace image_processing::kernels {

/// Sums are kept for so many neighbouring samples at a time: they stay in the fastest cache.
inline constexpr std::size_t block = 64;

// g++ 12 at -O3 would interleave several turns of the outer loop and keep the sums in no register:
// three times slower. An empty asm statement forbids it.
#if defined(__GNUC__) && !defined(__clang__)
#define IMAGE_PROCESSING_KEEP_LOOP asm volatile("")
#else
#define IMAGE_PROCESSING_KEEP_LOOP static_cast<void>(0)
#endif

#define IMAGE_PROCESSING_INLINE [[gnu::always_inline]] inline

/// Rounds to 8 bits; the value lies in [0, 255.5).
IMAGE_PROCESSING_INLINE std::uint8_t to_byte(float value) {
  return static_cast<std::uint8_t>(static_cast<int>(value + 0.5F));
}

/// Rounds to 8 bits and cuts what lies outside.
IMAGE_PROCESSING_INLINE std::uint8_t to_byte_clamped(float value) {
  value = value < 0.0F ? 0.0F : value;
  value = value > 255.0F ? 255.0F : value;
  return to_byte(value);
}

struct StoreFloat {
  float* out;
  IMAGE_PROCESSING_INLINE void operator()(std::size_t i, float value) const { out[i] = value; }
};

struct StoreByte {
  std::uint8_t* out;
  IMAGE_PROCESSING_INLINE void operator()(std::size_t i, float value) const {
    out[i] = to_byte(value);
  }
};

/// Stores original + amount * (original - blurred).
struct StoreSharpened {
  std::uint8_t* out;
  const float* original;
  float amount;
  IMAGE_PROCESSING_INLINE void operator()(std::size_t i, float blurred) const {
    out[i] = to_byte_clamped(original[i] + amount * (original[i] - blurred));
  }
};

/// What a symmetric convolution reads: weights[0] * centre[i], and for each k from 1 to reach
/// weights[k] * (before[k][i] + after[k][i]).
struct Symmetric {
  const float* centre;
  const float* const* before;
  const float* const* after;
  const float* weights;
  std::size_t reach;
};

/// One row of a symmetric convolution. Down the columns, `before` and `after` are rows above and
/// below; along a row they are the row itself, shifted by whole pixels.
template <class Store>
IMAGE_PROCESSING_INLINE void symmetric_sum(const Symmetric& in, std::size_t size,
                                           const Store& store) {
  std::size_t i = 0;
  for (; i + block <= size; i += block) {
    float sum[block];
    for (std::size_t j = 0; j < block; ++j) sum[j] = in.weights[0] * in.centre[i + j];
    for (std::size_t k = 1; k <= in.reach; ++k) {
      IMAGE_PROCESSING_KEEP_LOOP;
      const float weight = in.weights[k];
      const float* before = in.before[k] + i;
      const float* after = in.after[k] + i;
      for (std::size_t j = 0; j < block; ++j) sum[j] += weight * (before[j] + after[j]);
    }
    for (std::size_t j = 0; j < block; ++j) store(i + j, sum[j]);
  }
  for (; i < size; ++i) {
    float sum = in.weights[0] * in.centre[i];
    for (std::size_t k = 1; k <= in.reach; ++k) {
      sum += in.weights[k] * (in.before[k][i] + in.after[k][i]);
    }
    store(i, sum);
  }
}

/// out[i] = sum over k of weights[k] * rows[k][i].
IMAGE_PROCESSING_INLINE void weighted_sum(const std::uint8_t* const* rows, const float* weights,
                                          std::size_t count, std::size_t size, float* out) {
  std::size_t i = 0;
  for (; i + block <= size; i += block) {
    float sum[block] = {};
    for (std::size_t k = 0; k < count; ++k) {
      IMAGE_PROCESSING_KEEP_LOOP;
      const float weight = weights[k];
      const std::uint8_t* row = rows[k] + i;
      for (std::size_t j = 0; j < block; ++j) sum[j] += weight * static_cast<float>(row[j]);
    }
    for (std::size_t j = 0; j < block; ++j) out[i + j] = sum[j];
  }
  for (; i < size; ++i) {
    float sum = 0.0F;
    for (std::size_t k = 0; k < count; ++k) sum += weights[k] * static_cast<float>(rows[k][i]);
    out[i] = sum;
  }
}

#if defined(__x86_64__) && defined(__GNUC__)

inline bool has_avx2() {
  static const bool answer = __builtin_cpu_supports("avx2") != 0;
  return answer;
}

template <class Store>
[[gnu::target("avx2")]] void symmetric_sum_avx2(const Symmetric& in, std::size_t size,
                                                const Store& store) {
  symmetric_sum(in, size, store);
}

[[gnu::target("avx2")]] inline void weighted_sum_avx2(const std::uint8_t* const* rows,
                                                      const float* weights, std::size_t count,
                                                      std::size_t size, float* out) {
  weighted_sum(rows, weights, count, size, out);
}

template <class Store>
void convolve_row(const Symmetric& in, std::size_t size, const Store& store) {
  if (has_avx2()) return symmetric_sum_avx2(in, size, store);
  symmetric_sum(in, size, store);
}

inline void mix_rows(const std::uint8_t* const* rows, const float* weights, std::size_t count,
                     std::size_t size, float* out) {
  if (has_avx2()) return weighted_sum_avx2(rows, weights, count, size, out);
  weighted_sum(rows, weights, count, size, out);
}

#else

template <class Store>
void convolve_row(const Symmetric& in, std::size_t size, const Store& store) {
  symmetric_sum(in, size, store);
}

inline void mix_rows(const std::uint8_t* const* rows, const float* weights, std::size_t count,
                     std::size_t size, float* out) {
  weighted_sum(rows, weights, count, size, out);
}

#endif

}  // namespace image_processing::kernels
