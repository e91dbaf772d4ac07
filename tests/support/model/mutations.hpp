// SPDX-License-Identifier: MIT
#pragma once

// Mutation testing by the model: whether any of some tests notices when an operation of a header is
// weakened or left out.

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "support/model/model.hpp"

namespace model {

using Body = std::function<void()>;

namespace detail {

inline std::vector<Change> changes_of(const Site& site) {
  std::vector<Change> changes;
  if (site.operation == Operation::futex_wake) return {Change::leave_out};
  if (site.operation == Operation::store || site.operation == Operation::exchange ||
      site.operation == Operation::fetch) {
    changes.push_back(Change::leave_out);
  }
  if (site.order != std::memory_order_relaxed) changes.push_back(Change::weaken);
  if (site.order == std::memory_order_acq_rel) changes.push_back(Change::weaken_acquire);
  if (site.operation == Operation::compare_exchange && site.failure != std::memory_order_relaxed) {
    changes.push_back(Change::weaken_failure);
  }
  return changes;
}

/// Whether any of the tests fails. In a process of its own, as a mutation may well crash.
inline bool any_fails(const Mutation& mutation, std::vector<Options> ways,
                      const std::vector<Body>& tests) {
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) {
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    for (const int number : {SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL}) {
      ::signal(number, SIG_DFL);  // a crash is what we want to see, and nobody to report it
    }
    ::close(STDERR_FILENO);
    for (Options& options : ways) {
      options.mutation = mutation;
      for (const Body& test : tests) {
        if (explore(options, test).failed) ::_exit(1);
      }
    }
    ::_exit(0);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status != 0;
}

inline bool before(const Site& left, const Site& right) {
  return std::tie(left.file, left.line, left.column) <
         std::tie(right.file, right.line, right.column);
}

}  // namespace detail

/// Runs the tests, in each of the ways, with each mutation of `header`, and names those mutations
/// that none of them notices: "Class::function operation order change", and "#2" for the second
/// such operation of a function. Without a mutation all of them have to pass; what fails then is
/// the only element. With `functions`, only these are mutated.
inline std::vector<std::string> surviving_mutations(
    std::string_view header, const std::vector<Options>& ways, const std::vector<Body>& tests,
    const std::vector<std::string_view>& functions = {}) {
  std::vector<Site> sites;
  for (const Options& options : ways) {
    for (const Body& test : tests) {
      const Result result = explore(options, test);
      if (result.failed) return {"without a mutation: " + result.what};
      for (const Site& site : result.sites) {
        if (!site.file.ends_with(header)) continue;
        const auto same = [&site](const Site& other) {
          return !detail::before(site, other) && !detail::before(other, site) &&
                 site.operation == other.operation;
        };
        if (std::none_of(sites.begin(), sites.end(), same)) sites.push_back(site);
      }
    }
  }
  if (sites.empty()) return {"no operation of this header was seen"};
  std::sort(sites.begin(), sites.end(), detail::before);
  std::vector<std::string> survivors;
  for (auto site = sites.begin(); site != sites.end(); ++site) {
    if (!functions.empty() &&
        std::find(functions.begin(), functions.end(), site->function) == functions.end()) {
      continue;
    }
    const auto earlier = std::count_if(sites.begin(), site, [&site](const Site& other) {
      return other.function == site->function && other.operation == site->operation;
    });
    for (const Change change : detail::changes_of(*site)) {
      if (detail::any_fails({*site, change}, ways, tests)) continue;
      survivors.push_back(site->function + (earlier > 0 ? "#" + std::to_string(earlier + 1) : "") +
                          " " + name_of(site->operation) + " " + name_of(site->order) + " " +
                          name_of(change));
    }
  }
  return survivors;
}

}  // namespace model
