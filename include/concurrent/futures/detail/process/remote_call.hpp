// SPDX-License-Identifier: MIT
#pragma once

// A call of a function in a worker: what it needs to compile, how it is written in the pool, and
// how it is read and run in the worker.

#include <concurrent/futures/detail/call.hpp>
#include <concurrent/futures/detail/map_task.hpp>
#include <concurrent/futures/detail/process/frame.hpp>
#include <concurrent/futures/detail/process/worker.hpp>
#include <concurrent/multiprocessing/detail/callable.hpp>
#include <concurrent/multiprocessing/serialization.hpp>
#include <exception>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

namespace concurrent::futures::detail {

// The outcomes of a chunk, as they travel: how many values, the values, the exceptions. cereal
// finds these by their argument.
template <class R>
concept travels_in_bulk =
    multiprocessing::detail::plain_value<R> && !multiprocessing::detail::holds_code<R>;
template <class Archive>
void save(Archive& archive, const MapError& error) {
  archive(error.index, error.error);
}
template <class Archive>
void load(Archive& archive, MapError& error) {
  archive(error.index, error.error);
}
template <class Archive, class R>
void save(Archive& archive, const MapOutcomes<R>& outcomes) {
  archive(outcomes.values.size());
  if constexpr (travels_in_bulk<R>) {
    archive.buffer().append(outcomes.values.begin(), outcomes.values.size() * sizeof(R));
  } else if constexpr (!std::is_void_v<R>) {
    for (const R& value : outcomes.values) archive(value);
  }
  archive(outcomes.errors);
}
template <class Archive, class R>
void load(Archive& archive, MapOutcomes<R>& outcomes) {
  std::size_t count = 0;
  archive(count);
  using Stored = typename State<R>::Stored;
  if constexpr (travels_in_bulk<R>) {
    if (count > archive.reader().left() / sizeof(R)) {
      throw multiprocessing::CorruptDataError(
          "a map's chunk claims more results than its message has bytes");
    }
  }
  outcomes.values = MapValues<Stored>(count);
  if constexpr (travels_in_bulk<R>) {
    archive.reader().copy_to(static_cast<void*>(outcomes.values.begin()), count * sizeof(R));
    outcomes.values.set_size(count);
  } else {
    for (std::size_t i = 0; i < count; ++i) {
      Stored* const value = std::construct_at(outcomes.values.begin() + i);
      outcomes.values.set_size(i + 1);
      if constexpr (!std::is_void_v<R>) archive(*value);
    }
  }
  archive(outcomes.errors);
}

}  // namespace concurrent::futures::detail

namespace concurrent::multiprocessing::detail {

template <class R>
struct Crosses<futures::detail::MapOutcomes<R>>
    : std::bool_constant<std::is_void_v<R> || Crosses<R>::value> {};

// What map submits is as good as the callable in it.
template <template <class, class, class...> class Wrapper, class Fn, class R, class... Elements>
struct WrapperCodec {
  static constexpr bool crosses = CallableCodec<Fn>::crosses;
  static void write(ByteBuffer& buffer, const Wrapper<Fn, R, Elements...>& wrapper) {
    CallableCodec<Fn>::write(buffer, wrapper.fn);
  }
  static Wrapper<Fn, R, Elements...> read(ByteReader& reader) {
    return {CallableCodec<Fn>::read(reader)};
  }
};
template <class Fn, class R, class... Elements>
struct CallableCodec<futures::detail::MapElement<Fn, R, Elements...>>
    : WrapperCodec<futures::detail::MapElement, Fn, R, Elements...> {};
template <class Fn, class R, class... Elements>
struct CallableCodec<futures::detail::MapChunk<Fn, R, Elements...>>
    : WrapperCodec<futures::detail::MapChunk, Fn, R, Elements...> {};

}  // namespace concurrent::multiprocessing::detail

namespace concurrent::futures::detail::process {

template <class T>
inline constexpr bool refers_elsewhere =
    std::is_same_v<T, std::string_view> || std::is_same_v<T, std::wstring_view>;
template <class T, std::size_t N>
inline constexpr bool refers_elsewhere<std::span<T, N>> = true;
template <class T>
inline constexpr bool refers_elsewhere<std::reference_wrapper<T>> = true;

/// Says in one line why an argument cannot be sent; true when it can.
template <class T>
consteval bool check_argument() {
  if constexpr (std::is_pointer_v<T> && !multiprocessing::detail::code_pointer<T>) {
    static_assert(!std::is_pointer_v<T>,
                  "an argument is a raw pointer, which points at nothing in another process: pass "
                  "the value itself (std::string for text, std::vector for an array)");
    return false;
  } else if constexpr (refers_elsewhere<T>) {
    static_assert(!refers_elsewhere<T>,
                  "an argument is a view or a reference, which refers to nothing in another "
                  "process: pass the value itself (std::string, std::vector)");
    return false;
  } else {
    static_assert(multiprocessing::can_cross_process_boundary<T>,
                  "an argument cannot cross the process boundary: its type must be trivially "
                  "copyable without pointers, views and references, or have a cereal serialize() "
                  "and a default constructor");
    return multiprocessing::can_cross_process_boundary<T>;
  }
}

template <class R>
consteval bool check_result() {
  static_assert(!std::is_reference_v<R>,
                "the task returns a reference, which refers to nothing in another process: return "
                "a value");
  constexpr bool address =
      (std::is_pointer_v<R> && !multiprocessing::detail::code_pointer<R>) || refers_elsewhere<R>;
  static_assert(!address,
                "the task returns a pointer or a view, which refers to nothing in another process: "
                "return the value itself");
  constexpr bool crosses = std::is_void_v<R> || multiprocessing::can_cross_process_boundary<R>;
  if constexpr (!std::is_reference_v<R> && !address) {
    static_assert(crosses,
                  "the task's result cannot cross the process boundary: its type must be trivially "
                  "copyable without pointers, views and references, or have a cereal serialize() "
                  "and a default constructor");
  }
  return crosses;
}

template <class F>
consteval bool check_callable() {
  constexpr bool crosses = multiprocessing::callable_can_cross_process_boundary<F>;
  static_assert(crosses,
                "the callable has state that cannot cross the process boundary: a lambda must "
                "capture nothing, so pass the values as arguments; a function object of your own "
                "needs a cereal serialize()");
  return crosses;
}

/// The call `F(Args...)` with result R, in the worker.
template <class R, class F, class... Args>
struct RemoteCall {
  static void run(TaskRequest& request, ByteBuffer& result) {
    auto call = read(request.reader);
    request.finished();
    if constexpr (std::is_void_v<R>) {
      std::apply(std::move(call.first), std::move(call.second));
    } else {
      multiprocessing::detail::write_values(
          result, static_cast<const R&>(std::apply(std::move(call.first), std::move(call.second))));
    }
  }

  static void write(ByteBuffer& request, const F& callable, const Args&... args) {
    multiprocessing::detail::write_plain(request, TaskFunction{&run});
    multiprocessing::detail::CallableCodec<F>::write(request, callable);
    multiprocessing::detail::write_values(request, args...);
  }

 private:
  static std::pair<F, std::tuple<Args...>> read(ByteReader& arguments) {
    try {
      F callable = multiprocessing::detail::CallableCodec<F>::read(arguments);
      return {std::move(callable), multiprocessing::detail::read_values<Args...>(arguments)};
    } catch (const std::exception& error) {
      throw UnreadableTask{multiprocessing::detail::demangled(typeid(error).name()) + ": " +
                           error.what()};
    } catch (...) {
      throw UnreadableTask{"an exception that does not derive from std::exception"};
    }
  }
};

/// Reads what RemoteCall wrote as its result.
template <class R>
auto read_result(ByteReader& reader) {
  return std::get<0>(multiprocessing::detail::read_values<R>(reader));
}

}  // namespace concurrent::futures::detail::process
