// SPDX-License-Identifier: MIT
#pragma once

// What may cross a process boundary, and how it is written and read. Counterpart: pickle, as
// multiprocessing uses it.

#include <array>
#include <concepts>
#include <concurrent/multiprocessing/detail/archive.hpp>
#include <deque>
#include <exception>
#include <filesystem>
#include <forward_list>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <stack>
#include <string>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <valarray>
#include <variant>
#include <vector>

namespace concurrent::multiprocessing {

namespace detail {

// cereal's functions for the standard containers do not look at the elements, so this does.
template <class T>
struct Crosses
    : std::bool_constant<plain_value<T> || (std::is_class_v<T> && serialized_by_cereal<T> &&
                                            std::is_default_constructible_v<T>)> {};

template <class... T>
struct AllCross : std::bool_constant<(Crosses<std::remove_cv_t<T>>::value && ...)> {};

template <class T, class A>
struct Crosses<std::vector<T, A>> : AllCross<T> {};
template <class A>
struct Crosses<std::vector<bool, A>> : std::true_type {};
template <class T, class A>
struct Crosses<std::deque<T, A>> : AllCross<T> {};
template <class T, class A>
struct Crosses<std::list<T, A>> : AllCross<T> {};
template <class T, class A>
struct Crosses<std::forward_list<T, A>> : AllCross<T> {};
template <class T, class C, class A>
struct Crosses<std::set<T, C, A>> : AllCross<T> {};
template <class T, class C, class A>
struct Crosses<std::multiset<T, C, A>> : AllCross<T> {};
template <class T, class H, class E, class A>
struct Crosses<std::unordered_set<T, H, E, A>> : AllCross<T> {};
template <class T, class H, class E, class A>
struct Crosses<std::unordered_multiset<T, H, E, A>> : AllCross<T> {};
template <class K, class V, class C, class A>
struct Crosses<std::map<K, V, C, A>> : AllCross<K, V> {};
template <class K, class V, class C, class A>
struct Crosses<std::multimap<K, V, C, A>> : AllCross<K, V> {};
template <class K, class V, class H, class E, class A>
struct Crosses<std::unordered_map<K, V, H, E, A>> : AllCross<K, V> {};
template <class K, class V, class H, class E, class A>
struct Crosses<std::unordered_multimap<K, V, H, E, A>> : AllCross<K, V> {};
template <class T, class C>
struct Crosses<std::queue<T, C>> : AllCross<T> {};
template <class T, class C>
struct Crosses<std::stack<T, C>> : AllCross<T> {};
template <class T, class C, class L>
struct Crosses<std::priority_queue<T, C, L>> : AllCross<T> {};
template <class T>
struct Crosses<std::valarray<T>> : AllCross<T> {};
template <class T, std::size_t N>
struct Crosses<std::array<T, N>> : AllCross<T> {};
template <class C, class T, class A>
struct Crosses<std::basic_string<C, T, A>> : std::true_type {};
template <class T>
struct Crosses<std::optional<T>> : AllCross<T> {};
template <class... T>
struct Crosses<std::variant<T...>> : AllCross<T...> {};
template <>
struct Crosses<std::monostate> : std::true_type {};
template <class... T>
struct Crosses<std::tuple<T...>> : AllCross<T...> {};
template <class A, class B>
struct Crosses<std::pair<A, B>> : AllCross<A, B> {};
template <class T>
struct Crosses<std::unique_ptr<T>> : AllCross<T> {};
template <class T>
struct Crosses<std::shared_ptr<T>> : AllCross<T> {};
template <>
struct Crosses<std::filesystem::path> : std::true_type {};
template <>
struct Crosses<std::exception_ptr> : std::true_type {};
template <class T>
requires std::is_reference_v<T> || std::is_void_v<T>
struct Crosses<T> : std::false_type {
};

}  // namespace detail

/// A type whose values can be sent to another process: a trivially copyable type that holds no
/// pointer, view or reference (enable_trivial_transfer); a standard container, string, optional,
/// variant, tuple, smart pointer, path or exception_ptr of such; or a default constructible class
/// with a `serialize` (or `save` and `load`) as cereal wants it. Function and member pointers
/// cross too, but not inside of a class that crosses as its bytes.
template <class T>
concept can_cross_process_boundary = detail::Crosses<std::remove_cv_t<T>>::value;

namespace detail {

template <class T>
concept written_directly = plain_value<T> || plain_range<T>;

/// Writes values one after the other, with one archive, so that what they share is written once.
template <class... T>
void write_values(ByteBuffer& buffer, const T&... values) {
  if constexpr ((written_directly<T> && ...)) {
    const auto write = [&buffer](const auto& value) {
      if constexpr (plain_value<std::remove_cvref_t<decltype(value)>>) {
        write_plain(buffer, value);
      } else {
        write_range(buffer, value);
      }
    };
    (write(values), ...);
  } else {
    OutputArchive archive(buffer);
    archive(values...);
  }
}

template <plain_value T>
T read_plain(ByteReader& reader) {
  if constexpr (std::is_default_constructible_v<T>) {
    T value{};
    read_plain(reader, value);
    return value;
  } else {
    ObjectBytes<T> bytes;
    reader.copy_to(&bytes, sizeof bytes);
    code_from_wire<T>(&bytes, sizeof bytes);
    return __builtin_bit_cast(T, bytes);
  }
}

template <class T>
T read_one(ByteReader& reader, InputArchive* archive) {
  if constexpr (plain_value<T>) {
    return read_plain<T>(reader);
  } else {
    T value{};
    if constexpr (plain_range<T>) {
      read_range(reader, value);
    } else {
      (*archive)(value);
    }
    return value;
  }
}

/// Reads what write_values wrote, and nothing may be left.
/// @throws CorruptDataError, and what the values' own `load` throws.
template <class... T>
std::tuple<T...> read_values(ByteReader& reader) {
  const auto finished = [&reader](std::tuple<T...>&& values) {
    reader.expect_end();
    return std::move(values);
  };
  if constexpr ((written_directly<T> && ...)) {
    return finished(std::tuple<T...>{read_one<T>(reader, nullptr)...});  // braces: left to right
  } else {
    InputArchive archive(reader);
    return finished(std::tuple<T...>{read_one<T>(reader, &archive)...});
  }
}

}  // namespace detail
}  // namespace concurrent::multiprocessing
