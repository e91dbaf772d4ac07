// SPDX-License-Identifier: MIT

// How exceptions cross a process boundary.

#include <unistd.h>

#include <any>
#include <concurrent/multiprocessing/exceptions.hpp>
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
#include <system_error>
#include <typeinfo>
#include <variant>

#include "support/catch.hpp"

namespace mp = concurrent::multiprocessing;

namespace {

std::exception_ptr through_bytes(const std::exception_ptr& error) {
  mp::detail::ByteBuffer buffer;
  mp::detail::write_values(buffer, error);
  mp::detail::ByteReader reader(buffer.bytes());
  return std::get<0>(mp::detail::read_values<std::exception_ptr>(reader));
}

struct Seen {
  const std::type_info* type = nullptr;
  std::string what;
  std::optional<mp::RemoteOrigin> origin;
};

Seen look_at(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    return {&typeid(exception), exception.what(), mp::remote_origin(exception)};
  }
}

/// Exactly the same type, the same words, and a pid.
template <class E>
bool comes_back(const E& error) {
  const Seen seen = look_at(through_bytes(std::make_exception_ptr(error)));
  return *seen.type == typeid(E) && seen.what == error.what() && seen.origin &&
         seen.origin->pid == ::getpid();
}

struct ByItsWords : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct ByItsMembers final : std::exception {
  ByItsMembers() = default;
  explicit ByItsMembers(int number) : line(number) {}
  template <class Archive>
  void serialize(Archive& archive) {
    archive(line);
  }
  [[nodiscard]] const char* what() const noexcept override { return "by its members"; }
  int line = 0;
};
struct NoException {  // nothing of std::exception about it
  int code = 0;
  template <class Archive>
  void serialize(Archive& archive) {
    archive(code);
  }
};
struct Unregistered : std::logic_error {
  using std::logic_error::logic_error;
};
struct CannotBeWritten : std::exception {
  template <class Archive>
  void save(Archive&) const {
    throw std::runtime_error("no");
  }
  template <class Archive>
  void load(Archive&) {}
  [[nodiscard]] const char* what() const noexcept override { return "stubborn"; }
};

const bool registered =
    mp::register_exception<ByItsWords>() && mp::register_exception<ByItsMembers>() &&
    mp::register_exception<NoException>() && mp::register_exception<CannotBeWritten>();

class OwnCategory : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "own"; }
  [[nodiscard]] std::string message(int) const override { return "own trouble"; }
};

}  // namespace

TEST_CASE("the standard's exceptions come back as themselves") {
  CHECK(comes_back(std::logic_error("a")));
  CHECK(comes_back(std::invalid_argument("b")));
  CHECK(comes_back(std::domain_error("c")));
  CHECK(comes_back(std::length_error("d")));
  CHECK(comes_back(std::out_of_range("e")));
  CHECK(comes_back(std::runtime_error("")));
  CHECK(comes_back(std::range_error("f")));
  CHECK(comes_back(std::overflow_error("g")));
  CHECK(comes_back(std::underflow_error("h")));
  CHECK(comes_back(std::bad_alloc()));
  CHECK(comes_back(std::bad_array_new_length()));
  CHECK(comes_back(std::bad_cast()));
  CHECK(comes_back(std::bad_any_cast()));
  CHECK(comes_back(std::bad_typeid()));
  CHECK(comes_back(std::bad_optional_access()));
  CHECK(comes_back(std::bad_variant_access()));
  CHECK(comes_back(std::bad_weak_ptr()));
  CHECK(comes_back(std::bad_function_call()));
  CHECK(comes_back(std::bad_exception()));
  CHECK(comes_back(std::exception()));
  CHECK(comes_back(std::future_error(std::future_errc::broken_promise)));
}

TEST_CASE("a system_error comes back with its code") {
  const std::error_code missing(ENOENT, std::generic_category());
  CHECK(comes_back(std::system_error(missing)));
  CHECK(comes_back(std::system_error(missing, "open a.txt")));
  CHECK(comes_back(std::system_error(missing, "")));
  CHECK(comes_back(std::ios_base::failure("read")));
  try {
    std::rethrow_exception(through_bytes(
        std::make_exception_ptr(std::system_error(EACCES, std::system_category(), "open"))));
  } catch (const std::system_error& error) {
    CHECK(error.code() == std::error_code(EACCES, std::system_category()));
  }
}

TEST_CASE("a filesystem_error comes back with its paths") {
  const std::filesystem::filesystem_error error("cannot copy", "/from", "/to",
                                                std::make_error_code(std::errc::file_exists));
  CHECK(comes_back(error));
  try {
    std::rethrow_exception(through_bytes(std::make_exception_ptr(error)));
  } catch (const std::filesystem::filesystem_error& back) {
    CHECK(back.path1() == "/from");
    CHECK(back.path2() == "/to");
    CHECK(back.code() == std::errc::file_exists);
  }
}

TEST_CASE("a regex_error comes back with its code and its words") {
  try {
    const std::regex broken("([");
    FAIL("it must throw");
  } catch (const std::regex_error& error) {
    const std::string words = error.what();
    const auto code = error.code();
    try {
      std::rethrow_exception(through_bytes(std::current_exception()));
    } catch (const std::regex_error& back) {
      CHECK(back.what() == words);
      CHECK(back.code() == code);
    }
  }
}

TEST_CASE("a registered exception comes back as itself") {
  REQUIRE(registered);
  CHECK(comes_back(ByItsWords("words")));
  CHECK(comes_back(ByItsMembers(3)));
  try {
    std::rethrow_exception(through_bytes(std::make_exception_ptr(ByItsMembers(7))));
  } catch (const ByItsMembers& back) {
    CHECK(back.line == 7);
  }
  try {
    std::rethrow_exception(through_bytes(std::make_exception_ptr(NoException{9})));
  } catch (const NoException& back) {
    CHECK(back.code == 9);
  }
}

TEST_CASE("an exception that is not registered is a RemoteError with type, words and pid") {
  try {
    std::rethrow_exception(through_bytes(std::make_exception_ptr(Unregistered("what it said"))));
  } catch (const mp::RemoteError& error) {
    CHECK_THAT(error.type_name(), support::matchers::ends_with("Unregistered"));
    CHECK(error.message() == "what it said");
    CHECK(error.pid() == ::getpid());
    CHECK(std::string(error.what()) == error.type_name() + ": what it said (in worker process " +
                                           std::to_string(::getpid()) + ")");
    CHECK(mp::remote_origin(error)->pid == ::getpid());
  }
}

TEST_CASE("what is no exception class is a RemoteError, text keeps its words") {
  CHECK(look_at(through_bytes(std::make_exception_ptr(42))).what ==
        "int (in worker process " + std::to_string(::getpid()) + ")");
  CHECK_THAT(look_at(through_bytes(std::make_exception_ptr(std::string("words")))).what,
             support::matchers::contains("words"));
}

TEST_CASE("a RemoteError stays what it is on its way through another process") {
  const auto first = through_bytes(std::make_exception_ptr(mp::RemoteError("app::E", "m", 123)));
  const auto second = through_bytes(first);
  CHECK(look_at(second).what == "app::E: m (in worker process 123)");
}

TEST_CASE("an error code of the user's own category, or a failing serialize, is a RemoteError") {
  static const OwnCategory category;
  const auto own = through_bytes(std::make_exception_ptr(std::system_error(1, category, "x")));
  CHECK(*look_at(own).type == typeid(mp::RemoteError));
  CHECK_THAT(look_at(own).what, support::matchers::contains("x: own trouble"));
  const auto stubborn = through_bytes(std::make_exception_ptr(CannotBeWritten()));
  CHECK(*look_at(stubborn).type == typeid(mp::RemoteError));
}

TEST_CASE("nested exceptions come back nested") {
  std::exception_ptr outer;
  try {
    try {
      throw std::out_of_range("inner");
    } catch (...) {
      std::throw_with_nested(std::runtime_error("outer"));
    }
  } catch (...) {
    outer = through_bytes(std::current_exception());
  }
  try {
    std::rethrow_exception(outer);
  } catch (const std::runtime_error& error) {
    CHECK(error.what() == std::string("outer"));
    CHECK(mp::remote_origin(error)->pid == ::getpid());
    CHECK_THROWS_AS(std::rethrow_if_nested(error), std::out_of_range);
  }
}

TEST_CASE("no exception comes back as none") { CHECK(through_bytes(nullptr) == nullptr); }

TEST_CASE("an exception of this process has no origin, nor has one at an address used again") {
  CHECK_FALSE(mp::remote_origin(std::make_exception_ptr(std::runtime_error("here"))));
  for (int i = 0; i < 100; ++i) {
    CHECK(mp::remote_origin(through_bytes(std::make_exception_ptr(std::runtime_error("there")))));
    CHECK_FALSE(mp::remote_origin(std::make_exception_ptr(std::runtime_error("here"))));
  }
}

TEST_CASE("an exception of an unknown type in a message is corrupt data") {
  mp::detail::ByteBuffer buffer;
  mp::detail::write_values(buffer, mp::detail::ExceptionForm::as_itself, std::string("7Unknown"),
                           pid_t{1}, mp::detail::ExceptionForm::none);
  mp::detail::ByteReader reader(buffer.bytes());
  CHECK_THROWS_AS(mp::detail::read_values<std::exception_ptr>(reader), mp::CorruptDataError);
}
