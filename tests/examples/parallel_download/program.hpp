// SPDX-License-Identifier: MIT
#pragma once

// parallel_download run as a program: what it printed, how it ended, what it left in its folder.

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "examples/parallel_download/raw_server.hpp"
#include "examples/parallel_download/temporary_folder.hpp"
#include "support/program.hpp"

namespace parallel_download::testing {

using Texts = std::vector<std::string>;

/// A program that downloads into a folder of its own. It trusts no proxy of the environment.
class Program {
 public:
  support::ProgramResult run(const Texts& arguments, const std::string& input = {}) const {
    return support::run_program(
        command(arguments),
        {.input = input, .directory = folder_.path().string(), .environment = {"no_proxy=*"}});
  }

  Texts command(const Texts& arguments) const {
    Texts all = {support::example("parallel_download"), "--output", output().string()};
    all.insert(all.end(), arguments.begin(), arguments.end());
    return all;
  }

  const std::filesystem::path& folder() const { return folder_.path(); }
  std::filesystem::path output() const { return folder_.path() / "out"; }

  Texts saved() const { return std::filesystem::exists(output()) ? names_in(output()) : Texts{}; }
  std::string saved(const std::string& name) const { return contents(output() / name); }

 private:
  TemporaryFolder folder_;
};

inline const std::string picture = "not really a picture, but nobody looks";

/// The handler of a server that gives `picture` under each path but "/bad", where `fault` happens.
inline RawServer::Handler faulty(RawServer::Handler fault) {
  return [fault = std::move(fault)](Connection& connection, const std::string& path) {
    if (path.starts_with("/bad")) return fault(connection, path);
    connection.respond("200 OK", "Content-Type: image/png\r\n", picture);
    return true;
  };
}

inline RawServer::Handler good() {
  return faulty([](Connection&, const std::string&) { return false; });
}

}  // namespace parallel_download::testing
