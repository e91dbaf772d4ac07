// SPDX-License-Identifier: MIT

// The main of every test program: Catch2's own command line under the watchdog, and two more
// options with which CTest runs every TEST_CASE as a test of its own:
//
//   --write-ctest FILE PREFIX LABEL   writes the CTest script that registers the test cases
//   --case NAME                       runs the test case of exactly this name
//
// Tags that mean something here: [limit:600] gives a case 600 seconds, [serial] has CTest run it
// alone, [.] hides it from CTest (Catch2's own rule). All tags become labels.

#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_RUNNER
#endif
#include "support/catch.hpp"
//
#include <algorithm>
#include <concurrent/multiprocessing/freeze_support.hpp>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "support/watchdog.hpp"

namespace {

#if __has_include(<catch2/catch_all.hpp>)
using ListenerBase = Catch::EventListenerBase;
const Catch::TestCaseInfo& info_of(const Catch::TestCaseHandle& test) {
  return test.getTestCaseInfo();
}
std::string text_of(const Catch::Tag& tag) { return static_cast<std::string>(tag.original); }
#else
using ListenerBase = Catch::TestEventListenerBase;
const Catch::TestCaseInfo& info_of(const Catch::TestCase& test) { return test; }
const std::string& text_of(const std::string& tag) { return tag; }
#endif

std::vector<std::string> tags_of(const Catch::TestCaseInfo& test) {
  std::vector<std::string> tags;
  for (const auto& tag : test.tags) tags.push_back(text_of(tag));
  return tags;
}

bool has_tag(const std::vector<std::string>& tags, const std::string& tag) {
  return std::find(tags.begin(), tags.end(), tag) != tags.end();
}

/// The seconds in a tag [limit:600], 0 without one.
int limit_of(const std::vector<std::string>& tags) {
  constexpr std::string_view key = "limit:";
  for (const std::string& tag : tags) {
    if (tag.starts_with(key)) return std::atoi(tag.c_str() + key.size());
  }
  return 0;
}

int cases_begun = 0;

class Listener : public ListenerBase {
 public:
  using ListenerBase::ListenerBase;
  void testCaseStarting(const Catch::TestCaseInfo& test) override {
    ++cases_begun;
    support::watch_test_case(test.name.c_str(), limit_of(tags_of(test)));
  }
};

CATCH_REGISTER_LISTENER(Listener)

/// `text` as one argument of a CMake command, whatever it holds.
std::string bracketed(const std::string& text) { return "[==[" + text + "]==]"; }

void write_test(std::ostream& script, const std::string& program, const std::string& prefix,
                const std::string& label, const Catch::TestCaseInfo& test) {
  const std::vector<std::string> tags = tags_of(test);
  const std::string name = bracketed(prefix + test.name);
  std::string labels = label;
  for (const std::string& tag : tags) labels += ";" + tag;
  script << "add_test(" << name << ' ' << bracketed(program) << " --case " << bracketed(test.name)
         << ")\n"
         << "set_tests_properties(" << name << " PROPERTIES LABELS "
         << bracketed(labels)
         // Later than the watchdog, which says more.
         << " TIMEOUT " << std::max(900, limit_of(tags) + 300);
  if (label == "stress" || has_tag(tags, "serial")) script << " RUN_SERIAL TRUE";
  script << ")\n";
}

int write_ctest(Catch::Session& session, const std::string& program, const std::string& file,
                const std::string& prefix, const std::string& label) {
  std::ofstream script(file);
  for (const auto& test : Catch::getAllTestCasesSorted(session.config())) {
    if (!info_of(test).isHidden()) write_test(script, program, prefix, label, info_of(test));
  }
  script.close();
  if (script) return EXIT_SUCCESS;
  std::fprintf(stderr, "%s: cannot write %s\n", program.c_str(), file.c_str());
  return EXIT_FAILURE;
}

/// `name` as a Catch2 test spec that matches it and nothing else.
std::string spec_of(const std::string& name) {
  std::string spec;
  for (const char c : name) {
    if (std::string_view(",[]\\\"").find(c) != std::string_view::npos) spec += '\\';
    spec += c;
  }
  return spec;
}

int run_case(Catch::Session& session, const std::string& program, const std::string& name) {
  const std::string spec = spec_of(name);
  const std::vector<const char*> arguments{program.c_str(), spec.c_str()};
  const int error = session.applyCommandLine(static_cast<int>(arguments.size()), arguments.data());
  const int status = error != 0 ? error : session.run();
  if (cases_begun == 1) return status;
  std::fprintf(stderr, "%s: \"%s\" names %d test cases, not 1\n", program.c_str(), name.c_str(),
               cases_begun);
  return EXIT_FAILURE;
}

}  // namespace

// Workers forked from a program with threads may have threads of their own: TSan ends them
// otherwise.
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() { return "die_after_fork=0"; }

int main(int argc, char** argv) {
  concurrent::multiprocessing::freeze_support(argc, argv);
  const std::vector<std::string> arguments(argv, argv + argc);
  if (argc == 5 && arguments[1] == "--write-ctest") {
    Catch::Session session;
    return write_ctest(session, arguments[0], arguments[2], arguments[3], arguments[4]);
  }
  return support::run_watched([&] {
    Catch::Session session;
    if (argc == 3 && arguments[1] == "--case") return run_case(session, arguments[0], arguments[2]);
    return session.run(argc, argv);
  });
}
