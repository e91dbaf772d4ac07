// SPDX-License-Identifier: MIT
#pragma once

// The archives: cereal's interface for the user's `serialize`, our own bytes underneath. What is a
// plain copy of bytes never reaches cereal, at any depth.
// Counterpart: pickle.Pickler and pickle.Unpickler.

#include <algorithm>
#include <array>
#include <cereal/cereal.hpp>
#include <cereal/types/atomic.hpp>
#include <cereal/types/bitset.hpp>
#include <cereal/types/chrono.hpp>
#include <cereal/types/common.hpp>
#include <cereal/types/complex.hpp>
#include <cereal/types/deque.hpp>
#include <cereal/types/forward_list.hpp>
#include <cereal/types/list.hpp>
#include <cereal/types/map.hpp>
#include <cereal/types/memory.hpp>
#include <cereal/types/optional.hpp>
#include <cereal/types/queue.hpp>
#include <cereal/types/set.hpp>
#include <cereal/types/stack.hpp>
#include <cereal/types/string.hpp>
#include <cereal/types/tuple.hpp>
#include <cereal/types/unordered_map.hpp>
#include <cereal/types/unordered_set.hpp>
#include <cereal/types/utility.hpp>
#include <cereal/types/valarray.hpp>
#include <cereal/types/variant.hpp>
#include <cereal/types/vector.hpp>
#include <concurrent/detail/os/huge_pages.hpp>
#include <concurrent/multiprocessing/detail/byte_buffer.hpp>
#include <concurrent/multiprocessing/detail/code_addresses.hpp>
#include <concurrent/multiprocessing/detail/trivial_transfer.hpp>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace concurrent::multiprocessing {

class OutputArchive;
class InputArchive;

namespace detail {

/// True for a class with a `serialize`, or `save` and `load`, that cereal finds.
template <class T>
concept serialized_by_cereal = cereal::traits::is_output_serializable<T, OutputArchive>::value &&
    cereal::traits::is_input_serializable<T, InputArchive>::value;

template <class T>
concept code_pointer = (std::is_pointer_v<T> && std::is_function_v<std::remove_pointer_t<T>>) ||
                       std::is_member_pointer_v<T>;

// What cereal wraps the values in on their way to an archive. They refer to the values.
template <class T>
inline constexpr bool is_wrapper_of_cereal =
    std::is_base_of_v<cereal::detail::NameValuePairCore, T> ||
    std::is_base_of_v<cereal::traits::detail::BaseCastBase, T>;
template <class T>
inline constexpr bool is_wrapper_of_cereal<cereal::BinaryData<T>> = true;
template <class T>
inline constexpr bool is_wrapper_of_cereal<cereal::SizeTag<T>> = true;
template <class K, class V>
inline constexpr bool is_wrapper_of_cereal<cereal::MapItem<K, V>> = true;
template <class T>
inline constexpr bool is_wrapper_of_cereal<cereal::DeferredData<T>> = true;
template <class T>
inline constexpr bool is_wrapper_of_cereal<cereal::memory_detail::PtrWrapper<T>> = true;

template <class T>
inline constexpr bool is_plain = [] {
  if constexpr (is_wrapper_of_cereal<T>) {
    return false;
  } else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T> || code_pointer<T>) {
    return true;
  } else if constexpr (std::is_class_v<T> || std::is_union_v<T>) {
    if constexpr (!enable_trivial_transfer<T>) {
      return false;
    } else {
      return is_known_value<T> || !serialized_by_cereal<T>;  // a `serialize` has the last word
    }
  } else {
    return false;
  }
}();
template <class T, std::size_t N>
inline constexpr bool is_plain<std::array<T, N>> = is_plain<T>;
template <class T, std::size_t N>
inline constexpr bool is_plain<T[N]> = is_plain<T>;

/// A type whose objects cross as a copy of their bytes.
template <class T>
concept plain_value = is_plain<std::remove_cv_t<T>>;

template <class T>
inline constexpr bool is_plain_range = false;
template <class T, class Allocator>
inline constexpr bool is_plain_range<std::vector<T, Allocator>> =
    is_plain<T> && !std::is_same_v<T, bool>;
template <class Char, class Traits, class Allocator>
inline constexpr bool is_plain_range<std::basic_string<Char, Traits, Allocator>> = true;

/// A contiguous container of plain values: its size, then one copy of all its bytes.
template <class T>
concept plain_range = is_plain_range<std::remove_cv_t<T>>;

}  // namespace detail

/// What a user's `serialize(Archive&)` or `save(Archive&)` writes to. Understands `archive(a, b)`,
/// `archive & a` and `archive << a`, and all that cereal knows.
class OutputArchive : public cereal::OutputArchive<OutputArchive, cereal::AllowEmptyClassElision> {
  using Base = cereal::OutputArchive<OutputArchive, cereal::AllowEmptyClassElision>;

 public:
  explicit OutputArchive(detail::ByteBuffer& buffer) : Base(this), buffer_(buffer) {}

  template <class... T>
  OutputArchive& operator()(T&&... values) {
    (write(std::forward<T>(values)), ...);
    return *this;
  }
  template <class T>
  OutputArchive& operator&(T&& value) {
    return (*this)(std::forward<T>(value));
  }
  template <class T>
  OutputArchive& operator<<(T&& value) {
    return (*this)(std::forward<T>(value));
  }

  [[nodiscard]] detail::ByteBuffer& buffer() noexcept { return buffer_; }

 private:
  template <class T>
  void write(T&& value);

  detail::ByteBuffer& buffer_;
};

/// What a user's `serialize(Archive&)` or `load(Archive&)` reads from.
/// @throws CorruptDataError where the message ends too early.
class InputArchive : public cereal::InputArchive<InputArchive, cereal::AllowEmptyClassElision> {
  using Base = cereal::InputArchive<InputArchive, cereal::AllowEmptyClassElision>;

 public:
  explicit InputArchive(detail::ByteReader& reader) : Base(this), reader_(reader) {}

  template <class... T>
  InputArchive& operator()(T&&... values) {
    (read(std::forward<T>(values)), ...);
    return *this;
  }
  template <class T>
  InputArchive& operator&(T&& value) {
    return (*this)(std::forward<T>(value));
  }
  template <class T>
  InputArchive& operator>>(T&& value) {
    return (*this)(std::forward<T>(value));
  }

  [[nodiscard]] detail::ByteReader& reader() noexcept { return reader_; }

 private:
  template <class T>
  void read(T&& value);

  detail::ByteReader& reader_;
};

namespace detail {

void write_exception(ByteBuffer& buffer, const std::exception_ptr& error);
std::exception_ptr read_exception(ByteReader& reader);

template <plain_value T>
void write_plain(ByteBuffer& buffer, const T& value) {
  std::byte* const at = buffer.extend(sizeof(T));
  std::memcpy(at, &value, sizeof(T));
  code_to_wire<T>(at, sizeof(T));
}

template <plain_value T>
void read_plain(ByteReader& reader, T& value) {
  reader.copy_to(static_cast<void*>(&value), sizeof(T));
  code_from_wire<T>(&value, sizeof(T));
}

/// The alignment of a message's begin, and so the strictest that its values can have in place.
inline constexpr std::size_t message_alignment = 16;

template <class T>
std::size_t padding_for(std::size_t position) {
  constexpr std::size_t alignment = (std::min)(alignof(T), message_alignment);
  return (alignment - position % alignment) % alignment;
}

// The elements start where their type may start, counted from the begin of the message, so that
// the reader can take them where they lie.
template <plain_range T>
void write_range(ByteBuffer& buffer, const T& range) {
  using Element = typename T::value_type;
  const std::uint64_t count = range.size();
  buffer.append(&count, sizeof count);
  const std::size_t padding = padding_for<Element>(buffer.size());
  if (padding != 0) std::memset(buffer.extend(padding), 0, padding);
  buffer.append(range.data(), range.size() * sizeof(Element));
  const std::size_t size = range.size() * sizeof(Element);
  code_to_wire<Element>(buffer.data() + (buffer.size() - size), size);
}

template <plain_range T>
void read_range(ByteReader& reader, T& range) {
  using Element = typename T::value_type;
  std::uint64_t count = 0;
  reader.copy_to(&count, sizeof count);
  reader.take(padding_for<Element>(reader.position()));
  if (count > reader.left() / sizeof(Element)) {
    throw CorruptDataError("a container claims more elements than its message has bytes");
  }
  const std::byte* const bytes = reader.take(static_cast<std::size_t>(count) * sizeof(Element));
  if (count == 0) {
    range.clear();
    return;
  }
  if (count > range.capacity()) {
    concurrent::detail::os::reserve_for_filling(range, static_cast<std::size_t>(count));
  }
  if constexpr (alignof(Element) <= message_alignment) {
    const auto* const first = static_cast<const Element*>(static_cast<const void*>(bytes));
    range.assign(first, first + count);
  } else {
    range.resize(static_cast<std::size_t>(count));
    std::memcpy(static_cast<void*>(range.data()), bytes, range.size() * sizeof(Element));
  }
  if constexpr (holds_code<Element>) {
    code_from_wire<Element>(range.data(), range.size() * sizeof(Element));
  }
}

}  // namespace detail

template <class T>
void OutputArchive::write(T&& value) {
  using Value = std::remove_cvref_t<T>;
  if constexpr (detail::plain_value<Value>) {
    detail::write_plain(buffer_, value);
  } else if constexpr (detail::plain_range<Value>) {
    detail::write_range(buffer_, value);
  } else if constexpr (std::is_same_v<Value, std::exception_ptr>) {
    detail::write_exception(buffer_, value);
  } else if constexpr (std::is_same_v<Value, std::filesystem::path>) {
    detail::write_range(buffer_, value.native());
  } else {
    Base::operator()(std::forward<T>(value));
  }
}

template <class T>
void InputArchive::read(T&& value) {
  using Value = std::remove_cvref_t<T>;
  if constexpr (detail::plain_value<Value>) {
    detail::read_plain(reader_, value);
  } else if constexpr (detail::plain_range<Value>) {
    detail::read_range(reader_, value);
  } else if constexpr (std::is_same_v<Value, std::exception_ptr>) {
    value = detail::read_exception(reader_);
  } else if constexpr (std::is_same_v<Value, std::filesystem::path>) {
    std::filesystem::path::string_type native;
    detail::read_range(reader_, native);
    value = std::move(native);
  } else {
    Base::operator()(std::forward<T>(value));
  }
}

// What cereal itself asks of an archive. It finds these by their arguments.

template <class T>
requires std::is_arithmetic_v<T>
void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& archive, const T& value) { archive(value); }
template <class T>
requires std::is_arithmetic_v<T>
void CEREAL_LOAD_FUNCTION_NAME(InputArchive& archive, T& value) { archive(value); }
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& archive, const cereal::NameValuePair<T>& pair) {
  archive(pair.value);
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(InputArchive& archive, cereal::NameValuePair<T>& pair) {
  archive(pair.value);
}
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& archive, const cereal::SizeTag<T>& tag) {
  archive(static_cast<std::uint64_t>(tag.size));
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(InputArchive& archive, cereal::SizeTag<T>& tag) {
  std::uint64_t size = 0;
  archive(size);
  tag.size = static_cast<std::remove_cvref_t<decltype(tag.size)>>(size);
}
template <class T>
void CEREAL_SAVE_FUNCTION_NAME(OutputArchive& archive, const cereal::BinaryData<T>& data) {
  archive.buffer().append(data.data, static_cast<std::size_t>(data.size));
}
template <class T>
void CEREAL_LOAD_FUNCTION_NAME(InputArchive& archive, cereal::BinaryData<T>& data) {
  archive.reader().copy_to(data.data, static_cast<std::size_t>(data.size));
}

}  // namespace concurrent::multiprocessing

CEREAL_REGISTER_ARCHIVE(concurrent::multiprocessing::OutputArchive)
CEREAL_REGISTER_ARCHIVE(concurrent::multiprocessing::InputArchive)
CEREAL_SETUP_ARCHIVE_TRAITS(concurrent::multiprocessing::InputArchive,
                            concurrent::multiprocessing::OutputArchive)
