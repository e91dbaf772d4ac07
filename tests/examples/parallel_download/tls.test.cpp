// SPDX-License-Identifier: MIT

// parallel_download and certificates, against the server of the openssl command.

#include "examples/parallel_download/program.hpp"
#include "support/catch.hpp"

using namespace parallel_download::testing;
using support::matchers::contains;

namespace {

/// Runs "$@" with URL replaced by the address of a server whose certificate only cert.pem vouches
/// for.
constexpr const char* with_server = R"sh(
set -eu
openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 2 \
  -addext "subjectAltName=$names" -keyout key.pem -out cert.pem 2> /dev/null
mkfifo log
openssl s_server -accept 127.0.0.1:0 -cert cert.pem -key key.pem -www > log 2>&1 < /dev/null &
server=$!
trap 'kill $server' EXIT
exec 3< log
while read -r word address <&3; do
  if [ "$word" = ACCEPT ]; then break; fi
done
cat <&3 > /dev/null &
status=0
"$@" "https://127.0.0.1:${address##*:}/x" || status=$?
exit $status
)sh";

support::ProgramResult download(const Program& program, const Texts& arguments,
                                const std::string& names = "IP:127.0.0.1") {
  Texts command = {"sh", "-c", with_server, "sh"};
  for (const std::string& word : program.command(arguments)) command.push_back(word);
  return support::run_program(command, {.directory = program.folder().string(),
                                        .environment = {"no_proxy=*", "names=" + names}});
}

bool openssl_is_missing() {
  const bool missing = support::run_program({"sh", "-c", "command -v openssl"}).status != 0;
  if (missing) WARN("not tested: there is no openssl command");
  return missing;
}

}  // namespace

TEST_CASE("a server whose certificate nobody vouches for is refused at once") {
  if (openssl_is_missing()) return;
  const Program program;
  const auto result = download(program, {});
  CHECK(result.status == 1);
  CHECK_THAT(result.err, contains("the server's certificate is not trusted"));
  CHECK(result.err.find("retry") == std::string::npos);
  CHECK(program.saved().empty());
}

TEST_CASE("a certificate that is trusted makes https work") {
  if (openssl_is_missing()) return;
  const Program program;
  const auto result = download(program, {"--ca-file", "cert.pem"});
  INFO(result.err);
  CHECK(result.status == 0);
  CHECK(program.saved() == Texts{"x.html"});
}

TEST_CASE("a trusted certificate of another host is refused") {
  if (openssl_is_missing()) return;
  const Program program;
  const auto result = download(program, {"--ca-file", "cert.pem"}, "DNS:elsewhere.example");
  CHECK(result.status == 1);
  CHECK_THAT(result.err, contains("not trusted"));
  CHECK(program.saved().empty());
}
