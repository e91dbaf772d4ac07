// SPDX-License-Identifier: MIT

#include "parallel_download/part_file.hpp"

#include <set>
#include <system_error>
#include <thread>

#include "examples/parallel_download/temporary_folder.hpp"
#include "support/catch.hpp"

using namespace parallel_download;
using namespace parallel_download::testing;
namespace fs = std::filesystem;
using Names = std::vector<std::string>;

namespace {

std::string save(OutputFolder& folder, const std::string& name, const std::string& text) {
  PartFile file(folder);
  file.write(text);
  return file.publish(name);
}

}  // namespace

TEST_CASE("an output folder is made with those above it") {
  const TemporaryFolder temporary;
  const OutputFolder folder(temporary.path() / "a" / "b");
  CHECK(fs::is_directory(temporary.path() / "a" / "b"));
}

TEST_CASE("an output folder that is a file is refused by name") {
  const TemporaryFolder temporary;
  write(temporary.path() / "file", "");
  CHECK_THROWS_WITH(OutputFolder(temporary.path() / "file"),
                    support::matchers::contains((temporary.path() / "file").string()));
  CHECK_THROWS_AS(OutputFolder(temporary.path() / "file" / "below"), std::system_error);
}

TEST_CASE("a file has its name only when it is whole") {
  const TemporaryFolder temporary;
  OutputFolder folder(temporary.path());
  PartFile file(folder);
  file.write(std::string("one "));
  file.write(std::string("two"));
  CHECK_FALSE(fs::exists(temporary.path() / "a.txt"));
  REQUIRE(names_in(temporary.path()).size() == 1);
  CHECK(names_in(temporary.path())[0].starts_with('.'));
  CHECK(file.publish("a.txt") == "a.txt");
  CHECK(names_in(temporary.path()) == Names{"a.txt"});
  CHECK(contents(temporary.path() / "a.txt") == "one two");
}

TEST_CASE("a part file that is not published leaves nothing behind") {
  const TemporaryFolder temporary;
  OutputFolder folder(temporary.path());
  {
    PartFile file(folder);
    file.write(std::string("half"));
  }
  CHECK(names_in(temporary.path()).empty());
}

TEST_CASE("a part file that was discarded begins anew") {
  const TemporaryFolder temporary;
  OutputFolder folder(temporary.path());
  PartFile file(folder);
  file.write(std::string("first attempt"));
  file.discard();
  CHECK(names_in(temporary.path()).empty());
  file.write(std::string("second"));
  file.publish("a");
  CHECK(contents(temporary.path() / "a") == "second");
}

TEST_CASE("an empty download is an empty file") {
  const TemporaryFolder temporary;
  OutputFolder folder(temporary.path());
  PartFile(folder).publish("empty");
  CHECK(contents(temporary.path() / "empty").empty());
}

TEST_CASE("a file that exists is never replaced") {
  const TemporaryFolder temporary;
  write(temporary.path() / "a.txt", "old");
  write(temporary.path() / "a-2.txt", "old");
  OutputFolder folder(temporary.path());
  CHECK(save(folder, "a.txt", "1") == "a-1.txt");
  CHECK(save(folder, "a.txt", "3") == "a-3.txt");
  CHECK(contents(temporary.path() / "a.txt") == "old");
  CHECK(contents(temporary.path() / "a-2.txt") == "old");
}

TEST_CASE("a symbolic link is neither followed nor replaced") {
  const TemporaryFolder temporary;
  write(temporary.path() / "target", "old");
  fs::create_directory(temporary.path() / "out");
  fs::create_symlink("../target", temporary.path() / "out" / "a");
  fs::create_symlink("../missing", temporary.path() / "out" / "b");
  OutputFolder folder(temporary.path() / "out");
  CHECK(save(folder, "a", "new") == "a-1");
  CHECK(save(folder, "b", "new") == "b-1");
  CHECK(contents(temporary.path() / "target") == "old");
  CHECK_FALSE(fs::exists(temporary.path() / "missing"));
}

TEST_CASE("a folder of the wanted name is not replaced") {
  const TemporaryFolder temporary;
  fs::create_directory(temporary.path() / "a");
  OutputFolder folder(temporary.path());
  CHECK(save(folder, "a", "new") == "a-1");
}

TEST_CASE("threads that save under one name at once get one file each") {
  const TemporaryFolder temporary;
  OutputFolder folder(temporary.path());
  constexpr int count = 8;
  constexpr int files_each = 25;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&folder, i] {
        for (int k = 0; k < files_each; ++k) {
          save(folder, "a.txt", std::to_string(i * files_each + k));
        }
      });
    }
  }
  std::set<std::string> texts;
  for (const std::string& name : names_in(temporary.path())) {
    texts.insert(contents(temporary.path() / name));
  }
  CHECK(names_in(temporary.path()).size() == count * files_each);
  CHECK(texts.size() == count * files_each);
}
