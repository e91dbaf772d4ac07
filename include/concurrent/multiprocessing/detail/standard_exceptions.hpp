// SPDX-License-Identifier: MIT
#pragma once

// How the standard's exceptions are written to bytes and read back, and with them all others.

#include <cxxabi.h>
#include <unistd.h>

#include <any>
#include <array>
#include <concurrent/detail/separate_compilation.hpp>
#include <concurrent/multiprocessing/detail/byte_buffer.hpp>
#include <concurrent/multiprocessing/detail/exception_codec.hpp>
#include <concurrent/multiprocessing/detail/remote_origin.hpp>
#include <concurrent/multiprocessing/remote_error.hpp>
#include <concurrent/multiprocessing/serialization.hpp>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <future>
#include <ios>
#include <memory>
#include <new>
#include <optional>
#include <regex>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <variant>

namespace concurrent::multiprocessing::detail {

CONCURRENT_INLINE std::string demangled(const char* mangled) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(
      abi::__cxa_demangle(mangled, nullptr, nullptr, &status), &std::free);
  return status == 0 ? std::string(name.get()) : std::string(mangled);
}

/// `text` without what the standard library appended to the words given by the thrower.
inline std::string without_suffix(std::string text, const std::string& suffix) {
  if (text.ends_with(suffix)) text.resize(text.size() - suffix.size());
  return text;
}

template <class E>
struct ExceptionWithoutState {
  using Type = E;
  static bool write(ByteBuffer&, const E&) { return true; }
  static E read(ByteReader&) { return E(); }
};

struct ErrorCodeOnWire {
  std::uint32_t category;
  std::int32_t value;

  static std::optional<ErrorCodeOnWire> of(const std::error_code& code) {
    for (std::uint32_t index = 0; const std::error_category& category : categories()) {
      if (category == code.category()) return ErrorCodeOnWire{index, code.value()};
      ++index;
    }
    return std::nullopt;  // a category of the user's
  }
  [[nodiscard]] std::error_code code() const {
    const auto known = categories();
    if (category >= known.size()) throw CorruptDataError("an error code of no known category");
    return {value, known[category].get()};
  }

 private:
  static std::array<std::reference_wrapper<const std::error_category>, 4> categories() {
    return {std::generic_category(), std::system_category(), std::iostream_category(),
            std::future_category()};
  }
};

/// E(code, words): std::system_error and std::ios_base::failure.
template <class E>
struct ExceptionWithCode {
  using Type = E;
  static bool write(ByteBuffer& buffer, const E& error) {
    const auto code = ErrorCodeOnWire::of(error.code());
    if (!code) return false;
    const std::string text = error.what();
    const bool wordless = text == error.code().message();
    write_values(buffer, *code, wordless,
                 wordless ? std::string() : without_suffix(text, ": " + error.code().message()));
    return true;
  }
  static E read(ByteReader& reader) {
    const auto code = read_value<ErrorCodeOnWire>(reader).code();
    const bool wordless = read_value<bool>(reader);
    const auto words = read_value<std::string>(reader);
    if constexpr (std::is_same_v<E, std::system_error>) {
      return wordless ? E(code) : E(code, words);
    } else {
      return E(words, code);
    }
  }
};

struct FilesystemErrorCodec {
  using Type = std::filesystem::filesystem_error;
  static bool write(ByteBuffer& buffer, const Type& error) {
    const auto code = ErrorCodeOnWire::of(error.code());
    if (!code) return false;
    // what() is the words, decorated; the base class keeps them as they were given.
    std::string words = error.std::runtime_error::what();
    write_values(buffer, *code, without_suffix(std::move(words), ": " + error.code().message()),
                 error.path1().native(), error.path2().native());
    return true;
  }
  static Type read(ByteReader& reader) {
    const auto code = read_value<ErrorCodeOnWire>(reader).code();
    const auto words = read_value<std::string>(reader);
    const std::filesystem::path first = read_value<std::filesystem::path::string_type>(reader);
    const std::filesystem::path second = read_value<std::filesystem::path::string_type>(reader);
    if (!second.empty()) return {words, first, second, code};
    if (!first.empty()) return {words, first, code};
    return {words, code};
  }
};

struct FutureErrorCodec {
  using Type = std::future_error;
  static bool write(ByteBuffer& buffer, const Type& error) {
    if (error.code().category() != std::future_category()) return false;
    write_values(buffer, error.code().value());
    return true;
  }
  static Type read(ByteReader& reader) { return Type(std::future_errc(read_value<int>(reader))); }
};

/// The standard library chooses a regex_error's words, and only its code can be given. So what
/// comes home derives from it and keeps the words.
class RegexErrorWithText : public std::regex_error {
 public:
  RegexErrorWithText(std::regex_constants::error_type code, std::string text)
      : std::regex_error(code), text_(std::make_shared<const std::string>(std::move(text))) {}
  [[nodiscard]] const char* what() const noexcept override { return text_->c_str(); }

 private:
  std::shared_ptr<const std::string> text_;
};

struct RegexErrorCodec {
  using Type = std::regex_error;
  static bool write(ByteBuffer& buffer, const Type& error) {
    write_values(buffer, error.code(), std::string(error.what()));
    return true;
  }
  static RegexErrorWithText read(ByteReader& reader) {
    const auto code = read_value<std::regex_constants::error_type>(reader);
    return {code, read_value<std::string>(reader)};
  }
};

struct RemoteErrorCodec {
  using Type = RemoteError;
  static bool write(ByteBuffer& buffer, const Type& error) {
    write_values(buffer, error.type_name(), error.message(), error.pid());
    return true;
  }
  static Type read(ByteReader& reader) {
    auto type_name = read_value<std::string>(reader);
    auto message = read_value<std::string>(reader);
    return {type_name, message, read_value<pid_t>(reader)};
  }
};

/// The standard's exceptions, derived ones before their bases.
inline constexpr std::array standard_exceptions{
    codec_row<RemoteErrorCodec>,
    codec_row<FilesystemErrorCodec>,
    codec_row<ExceptionWithCode<std::ios_base::failure>>,
    codec_row<ExceptionWithCode<std::system_error>>,
    codec_row<RegexErrorCodec>,
    codec_row<ExceptionByMessage<std::range_error>>,
    codec_row<ExceptionByMessage<std::overflow_error>>,
    codec_row<ExceptionByMessage<std::underflow_error>>,
    codec_row<ExceptionByMessage<CorruptDataError>>,
    codec_row<ExceptionByMessage<std::runtime_error>>,
    codec_row<FutureErrorCodec>,
    codec_row<ExceptionByMessage<std::invalid_argument>>,
    codec_row<ExceptionByMessage<std::domain_error>>,
    codec_row<ExceptionByMessage<std::length_error>>,
    codec_row<ExceptionByMessage<std::out_of_range>>,
    codec_row<ExceptionByMessage<std::logic_error>>,
    codec_row<ExceptionWithoutState<std::bad_array_new_length>>,
    codec_row<ExceptionWithoutState<std::bad_alloc>>,
    codec_row<ExceptionWithoutState<std::bad_any_cast>>,
    codec_row<ExceptionWithoutState<std::bad_cast>>,
    codec_row<ExceptionWithoutState<std::bad_typeid>>,
    codec_row<ExceptionWithoutState<std::bad_optional_access>>,
    codec_row<ExceptionWithoutState<std::bad_variant_access>>,
    codec_row<ExceptionWithoutState<std::bad_weak_ptr>>,
    codec_row<ExceptionWithoutState<std::bad_function_call>>,
    codec_row<ExceptionWithoutState<std::bad_exception>>,
    codec_row<ExceptionWithoutState<std::exception>>,
};

CONCURRENT_INLINE const ExceptionCodec* ExceptionRegistry::find(std::string_view mangled) noexcept {
  const Entry* entry = head().load(std::memory_order_acquire);  // F1
  for (; entry != nullptr; entry = entry->next) {
    if (entry->codec->type->name() == mangled) return entry->codec;
  }
  for (const ExceptionCodec& codec : standard_exceptions) {
    if (codec.type->name() == mangled) return &codec;
  }
  return nullptr;
}

/// What std::throw_with_nested makes of an exception of type E: a class of the standard library's
/// that derives from E.
inline bool made_by_throw_with_nested(std::string_view mangled) {
  return mangled.find("_Nested_exception") != std::string_view::npos ||
         mangled.find("__nested") != std::string_view::npos;
}

CONCURRENT_INLINE ExceptionTraits traits_of(const std::exception_ptr& error) {
  ExceptionTraits traits;
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    traits.mangled = typeid(exception).name();
    traits.message = exception.what();
    if (const auto* outer = dynamic_cast<const std::nested_exception*>(&exception)) {
      traits.nested = outer->nested_ptr();
    }
  } catch (...) {
    if (const std::type_info* type = abi::__cxa_current_exception_type()) {
      traits.mangled = type->name();
    }
    try {
      throw;
    } catch (const std::string& text) {
      traits.message = text;
    } catch (const char* text) {
      traits.message = text;
    } catch (...) {
    }
  }
  return traits;
}

// Name, pid, what is nested (or none), then the exception's own bytes.
inline bool write_with(const ExceptionCodec& codec, ByteBuffer& buffer,
                       const std::exception_ptr& error, const std::exception_ptr& nested) {
  const std::size_t before = buffer.size();
  try {
    write_values(buffer, ExceptionForm::as_itself, std::string(codec.type->name()), ::getpid());
    write_exception(buffer, nested);
    if (codec.write(buffer, error)) return true;
  } catch (const std::bad_alloc&) {
    throw;
  } catch (...) {
    // Its own `serialize` threw; RemoteError will stand for it.
  }
  buffer.truncate(before);
  return false;
}

/// Writes an exception, so that it comes back as itself where that is possible.
CONCURRENT_INLINE void write_exception(ByteBuffer& buffer, const std::exception_ptr& error) {
  if (error == nullptr) return write_values(buffer, ExceptionForm::none);
  const ExceptionTraits traits = traits_of(error);
  if (const ExceptionCodec* codec = ExceptionRegistry::find(traits.mangled)) {
    if (write_with(*codec, buffer, error, nullptr)) return;
  } else if (traits.nested != nullptr && made_by_throw_with_nested(traits.mangled)) {
    for (const ExceptionCodec& base : standard_exceptions) {
      if (write_with(base, buffer, error, traits.nested)) return;
    }
  }
  write_values(buffer, ExceptionForm::as_remote_error, demangled(traits.mangled), traits.message,
               ::getpid());
}

/// @throws CorruptDataError, and what a registered type's `load` throws.
CONCURRENT_INLINE std::exception_ptr read_exception(ByteReader& reader) {
  const auto form = read_value<ExceptionForm>(reader);
  if (form == ExceptionForm::none) return nullptr;
  if (form == ExceptionForm::as_remote_error) {
    RemoteError error = RemoteErrorCodec::read(reader);
    const RemoteOrigin origin{error.pid()};
    return make_remote_exception(std::move(error), origin);
  }
  const auto mangled = read_value<std::string>(reader);
  const RemoteOrigin origin{read_value<pid_t>(reader)};
  const std::exception_ptr nested = read_exception(reader);
  const ExceptionCodec* const codec = ExceptionRegistry::find(mangled);
  if (codec == nullptr) {
    throw CorruptDataError("an exception of a type that is not registered here: " +
                           demangled(mangled.c_str()));
  }
  return codec->read(reader, origin, nested);
}

}  // namespace concurrent::multiprocessing::detail
