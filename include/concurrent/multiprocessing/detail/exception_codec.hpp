// SPDX-License-Identifier: MIT
#pragma once

// How exceptions are written to bytes and read back: a table of types, each with a way to do so.
// No counterpart in Python, where exceptions are pickled like everything else.

#include <atomic>
#include <concurrent/multiprocessing/detail/byte_buffer.hpp>
#include <concurrent/multiprocessing/detail/remote_origin.hpp>
#include <concurrent/multiprocessing/serialization.hpp>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>

namespace concurrent::multiprocessing::detail {

/// A type's name as it is written in a program.
std::string demangled(const char* mangled);

template <class T>
T read_value(ByteReader& reader) {
  if constexpr (written_directly<T>) {
    return read_one<T>(reader, nullptr);
  } else {
    InputArchive archive(reader);
    return read_one<T>(reader, &archive);
  }
}

// The ways to write an exception. Each: write(buffer, exception), false if this one cannot cross;
// and read(reader).

template <class E>
struct ExceptionByMessage {
  using Type = E;
  static bool write(ByteBuffer& buffer, const E& error) {
    write_values(buffer, std::string(error.what()));
    return true;
  }
  static E read(ByteReader& reader) { return E(read_value<std::string>(reader)); }
};

template <class E>
struct ExceptionByValue {
  using Type = E;
  static bool write(ByteBuffer& buffer, const E& error) {
    write_values(buffer, error);
    return true;
  }
  static E read(ByteReader& reader) { return read_value<E>(reader); }
};

/// One row of the table.
struct ExceptionCodec {
  const std::type_info* type;
  bool (*write)(ByteBuffer&, const std::exception_ptr&);  // by that type or a base of it
  std::exception_ptr (*read)(ByteReader&, RemoteOrigin, const std::exception_ptr& nested);
};

template <class Codec>
inline constexpr ExceptionCodec codec_row{
    &typeid(typename Codec::Type),
    [](ByteBuffer& buffer, const std::exception_ptr& error) {
      try {
        std::rethrow_exception(error);
      } catch (const typename Codec::Type& exception) {
        return Codec::write(buffer, exception);
      } catch (...) {
        return false;
      }
    },
    [](ByteReader& reader, RemoteOrigin origin, const std::exception_ptr& nested) {
      auto exception = Codec::read(reader);
      if (nested == nullptr) return make_remote_exception(std::move(exception), origin);
      try {
        std::rethrow_exception(nested);
      } catch (...) {
        try {
          std::throw_with_nested(std::move(exception));
        } catch (...) {
          return std::current_exception();
        }
      }
    }};

/// The registered exceptions: a list that only grows and that a fork finds whole at any moment.
///
/// Protocol   add   A1 exchange entered, true: it is in the list already
///                  A2 entry.next = head                  (plain: the entry is still private)
///                  A3 CAS head -> &entry                 release: publishes the entry
///            find  F1 load head                          acquire: pairs with A3
/// ABA        an entry never leaves.   Progress lock-free.
class ExceptionRegistry {
 public:
  template <class Codec>
  static void add() noexcept {
    static constinit Entry entry{&codec_row<Codec>};
    if (entry.entered.exchange(true, std::memory_order_relaxed)) return;  // A1: only one may win
    entry.next = head().load(std::memory_order_relaxed);                  // A3 compares it
    while (!head().compare_exchange_weak(entry.next, &entry, std::memory_order_release,
                                         std::memory_order_relaxed)) {
    }
  }

  /// The way to write what has that type, or null.
  static const ExceptionCodec* find(std::string_view mangled) noexcept;

 private:
  struct Entry {
    const ExceptionCodec* codec;
    Entry* next = nullptr;
    std::atomic<bool> entered = false;
  };
  static std::atomic<Entry*>& head() noexcept {
    static constinit std::atomic<Entry*> list = nullptr;
    return list;
  }
};

/// How an exception was written.
enum class ExceptionForm : std::uint8_t { none, as_itself, as_remote_error };

/// What can be said of any exception.
struct ExceptionTraits {
  const char* mangled = "an unknown type";
  std::string message;
  std::exception_ptr nested;
};

ExceptionTraits traits_of(const std::exception_ptr& error);

}  // namespace concurrent::multiprocessing::detail

// Where write_exception and read_exception are defined, and the standard's exceptions.
#if !defined(CONCURRENT_SEPARATE_COMPILATION)
#include <concurrent/multiprocessing/detail/standard_exceptions.hpp>
#endif
