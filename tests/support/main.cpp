// SPDX-License-Identifier: MIT

// The main of every test program: Catch2 under the watchdog. A test case that needs more time than
// others says so with a tag: [limit:600] is 600 seconds.

#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_RUNNER
#endif
#include "support/catch.hpp"
//
#include <cstdlib>
#include <string>
#include <string_view>

#include "support/watchdog.hpp"

namespace {

#if __has_include(<catch2/catch_all.hpp>)
using ListenerBase = Catch::EventListenerBase;
#else
using ListenerBase = Catch::TestEventListenerBase;
#endif

std::string text_of(const std::string& tag) { return tag; }

template <class Tag>
requires requires(const Tag& tag) { tag.original; }
std::string text_of(const Tag& tag) {
  return std::string(std::string_view(tag.original.data(), tag.original.size()));
}

/// The seconds in a tag [limit:600], 0 without one.
int limit_of(const Catch::TestCaseInfo& test) {
  constexpr std::string_view key = "limit:";
  for (const auto& tag : test.tags) {
    const std::string text = text_of(tag);
    if (text.starts_with(key)) return std::atoi(text.c_str() + key.size());
  }
  return 0;
}

class TellWatchdog : public ListenerBase {
 public:
  using ListenerBase::ListenerBase;
  void testCaseStarting(const Catch::TestCaseInfo& test) override {
    support::watch_test_case(test.name.c_str(), limit_of(test));
  }
};

CATCH_REGISTER_LISTENER(TellWatchdog)

}  // namespace

int main(int argc, char** argv) {
  return support::run_watched([=] { return Catch::Session().run(argc, argv); });
}
