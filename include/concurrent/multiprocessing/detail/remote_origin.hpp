// SPDX-License-Identifier: MIT
#pragma once

// Which process an exception came from, kept beside the exception object, whose type stays what it
// was. Counterpart: the _RemoteTraceback that Python hangs on a remote exception as its __cause__.

#include <cxxabi.h>
#include <pthread.h>
#include <sys/types.h>

#include <exception>
#include <mutex>
#include <new>
#include <optional>
#include <type_traits>
#include <typeinfo>
#include <unordered_map>
#include <utility>

namespace concurrent::multiprocessing {

/// Where an exception was thrown that came home from another process.
struct RemoteOrigin {
  pid_t pid = 0;
};

namespace detail {

/// The origins of all remote exceptions that are alive. An entry leaves with its exception: such
/// exceptions are thrown with a destructor of ours.
class RemoteOrigins {
 public:
  static RemoteOrigins& instance() {
    static auto* const origins = new RemoteOrigins;  // never destroyed: futures outlive statics
    return *origins;
  }

  void set(const void* exception, RemoteOrigin origin) {
    const std::scoped_lock lock(mutex_);
    origins_[exception] = origin;
  }
  void erase(const void* exception) noexcept {
    const std::scoped_lock lock(mutex_);
    origins_.erase(exception);
  }
  std::optional<RemoteOrigin> find(const void* exception) {
    const std::scoped_lock lock(mutex_);
    const auto found = origins_.find(exception);
    return found == origins_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  // A fork waits until nobody holds the mutex, so that the child may use it.
  RemoteOrigins() {
    ::pthread_atfork([] { instance().mutex_.lock(); }, [] { instance().mutex_.unlock(); },
                     [] { instance().mutex_.unlock(); });
  }

  std::mutex mutex_;
  std::unordered_map<const void*, RemoteOrigin> origins_;
};

template <class E>
void destroy_remote_exception(void* exception) {
  RemoteOrigins::instance().erase(exception);
  static_cast<E*>(exception)->~E();
}

/// An exception of exactly the type E that remembers its origin. This is what a throw expression
/// does (Itanium C++ ABI, 2.4), with another destructor.
template <class E>
std::exception_ptr make_remote_exception(E&& value, RemoteOrigin origin) {
  using Exception = std::remove_cvref_t<E>;
  void* const memory = abi::__cxa_allocate_exception(sizeof(Exception));
  try {
    RemoteOrigins::instance().set(memory, origin);
    ::new (memory) Exception(std::forward<E>(value));
  } catch (...) {
    RemoteOrigins::instance().erase(memory);
    abi::__cxa_free_exception(memory);
    throw;
  }
  try {
    abi::__cxa_throw(memory, const_cast<std::type_info*>(&typeid(Exception)),
                     &destroy_remote_exception<Exception>);
  } catch (...) {
    return std::current_exception();
  }
}

}  // namespace detail

/// Where a remote exception came from; nothing for one that was thrown in this process (or does not
/// derive from std::exception). For an exception with another one nested in it, the inner one's.
///
/// **Thread safety** May be called at any time from any thread.
/// **Python** The text of `error.__cause__`, which quotes the remote traceback.
inline std::optional<RemoteOrigin> remote_origin(const std::exception& error) {
  if (auto origin = detail::RemoteOrigins::instance().find(dynamic_cast<const void*>(&error))) {
    return origin;
  }
  const auto* const outer = dynamic_cast<const std::nested_exception*>(&error);
  if (outer == nullptr || outer->nested_ptr() == nullptr) return std::nullopt;
  try {
    outer->rethrow_nested();
  } catch (const std::exception& inner) {
    return remote_origin(inner);
  } catch (...) {
    return std::nullopt;
  }
}

inline std::optional<RemoteOrigin> remote_origin(const std::exception_ptr& error) {
  if (error == nullptr) return std::nullopt;
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& exception) {
    return remote_origin(exception);
  } catch (...) {
    return std::nullopt;
  }
}

}  // namespace concurrent::multiprocessing
