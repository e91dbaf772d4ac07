// SPDX-License-Identifier: MIT

// image_processing run as a program: what it prints, what it writes, and its exit status.

#include "support/program.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <vector>

#include "pictures.hpp"
#include "support/catch.hpp"

using image_processing::Bytes;
using image_processing::Format;
using image_processing::Image;
using pictures::count_files;
using pictures::Folder;
using pictures::noisy;
using pictures::read;
using pictures::read_picture;
using pictures::smooth;
using pictures::write;
using pictures::write_picture;
using pictures::fs::exists;
using pictures::fs::path;
using support::ProgramResult;
using support::matchers::contains;

namespace {

ProgramResult run(std::vector<std::string> arguments, const path& directory = {}) {
  arguments.insert(arguments.begin(), support::example("image_processing"));
  support::ProgramOptions options;
  options.directory = directory.string();
  options.timeout = std::chrono::seconds(300);
  return support::run_program(arguments, options);
}

std::string size_of(const path& picture) {
  const Image image = read_picture(picture);
  return image_processing::size_text(image.width, image.height);
}

/// Three good pictures, one of them below.
void fill(const Folder& folder) {
  write_picture(folder / "in/a.png", noisy(60, 40, 3));
  write_picture(folder / "in/b.jpg", smooth(80, 40), Format::jpeg);
  write_picture(folder / "in/below/c.bmp", noisy(30, 30, 3), Format::bmp);
}

}  // namespace

TEST_CASE("image program: a folder is processed by each executor") {
  const std::string executor = GENERATE("sequential", "thread", "process");
  const Folder folder;
  fill(folder);
  const ProgramResult result = run({"--executor", executor, "--workers", "2", "-r", "-f",
                                    "resize:50%", "-o", folder / "out", folder / "in"});
  CHECK(result.err == "");
  CHECK(result.status == 0);
  CHECK_THAT(result.out, contains("[3/3]"));
  CHECK_THAT(result.out, contains("3 of 3 pictures in"));
  CHECK_THAT(result.out, contains("with the " + executor + " executor"));
  CHECK(size_of(folder / "out/a.png") == "30x20");
  CHECK(size_of(folder / "out/b.jpg") == "40x20");
  CHECK(size_of(folder / "out/below/c.bmp") == "15x15");
  CHECK(exists(folder / "out/contact_sheet.jpg"));
  CHECK(count_files(folder / "out") == 4);  // and nothing unfinished
}

TEST_CASE("image program: in the sandbox the same comes out, and faulty files are named") {
  const Folder folder;
  fill(folder);
  const std::vector<std::string> common = {"--workers", "2", "-r", "-f", "blur:1", "-q"};
  const auto run_with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), common.begin(), common.end());
    more.push_back(folder / "in");
    return run(more);
  };
  CHECK(run_with({"-o", folder / "plain"}).status == 0);
  write(folder / "in/text.png", Bytes{'h', 'e', 'l', 'l', 'o'});
  write(folder / "in/empty.jpg", {});
  const ProgramResult result = run_with({"--sandbox", "-o", folder / "out"});
  CHECK(result.status == 1);
  CHECK_THAT(result.err, contains("text.png: "));
  CHECK_THAT(result.err, contains("empty.jpg: empty file"));
  CHECK_THAT(result.err, contains("2 of 5 pictures could not be processed"));
  for (const char* name : {"a.png", "b.jpg", "below/c.bmp"}) {
    CHECK(read(folder / "out" / name) == read(folder / "plain" / name));
  }
}

TEST_CASE("image program: only processes have a sandbox") {
  const Folder folder;
  fill(folder);
  const ProgramResult result =
      run({"--sandbox", "--executor", "thread", "-o", folder / "out", folder / "in"});
  CHECK(result.status == 2);
  CHECK_THAT(result.err, contains("--sandbox"));
  CHECK_FALSE(exists(folder / "out"));
}

TEST_CASE("image program: compare finds the outputs of all executors identical") {
  const Folder folder;
  fill(folder);
  const ProgramResult result =
      run({"--compare", "--workers", "2", "-o", folder / "out", folder / "in"});
  CHECK(result.err == "");
  CHECK(result.status == 0);
  CHECK_THAT(result.out, contains("speed-up"));
  CHECK_THAT(result.out, contains("reference"));
  CHECK_THAT(result.out, contains("identical (2 files)"));
  for (const char* executor : {"sequential", "thread", "process"}) {
    CHECK(read(folder / "out" / executor / "a.png") == read(folder / "out/sequential/a.png"));
  }
}

TEST_CASE("image program: without inputs it makes pictures and processes those") {
  const Folder folder;
  const ProgramResult result =
      run({"--made", "3", "-f", "orient", "-f", "resize:10%"}, folder.path());
  CHECK(result.err == "");
  CHECK(result.status == 0);
  CHECK(count_files(folder / "image_processing_output/made") == 3);
  // Stored lying on its side, 1200 x 1600, and turned upright.
  CHECK(size_of(folder / "image_processing_output/01-landscape.jpg") == "160x120");
  CHECK(size_of(folder / "image_processing_output/made/01-landscape.jpg") == "1200x1600");
}

TEST_CASE("image program: faulty files are named with their reasons and the others are done") {
  const std::string executor = GENERATE("sequential", "thread", "process");
  const Folder folder;
  fill(folder);
  write(folder / "in/empty.jpg", {});
  write(folder / "in/text.png", Bytes{'h', 'e', 'l', 'l', 'o'});
  Bytes cut = read(folder / "in/b.jpg");
  cut.resize(cut.size() / 2);
  write(folder / "in/cut.jpg", cut);
  write(folder / "in/bomb.ppm", Bytes{'P', '6', ' ', '6', '0', '0', '0', '0', ' ', '6', '0', '0',
                                      '0', '0', ' ', '2', '5', '5', '\n'});
  pictures::fs::create_symlink("nowhere", folder / "in/dangling.png");
  REQUIRE(::mkfifo((folder / "in/pipe.png").c_str(), 0600) == 0);

  const ProgramResult result =
      run({"-e", executor, "-o", folder / "out", folder / "in", folder / "missing.png"});
  CHECK(result.status == 1);
  const std::string in = (folder / "in/").string();
  CHECK_THAT(result.err, contains(in + "empty.jpg: empty file"));
  CHECK_THAT(result.err, contains(in + "text.png: not a picture"));
  CHECK_THAT(result.err, contains(in + "cut.jpg: "));
  CHECK_THAT(result.err, contains(in + "bomb.ppm: too large: 60000x60000 pixels"));
  CHECK_THAT(result.err, contains(in + "dangling.png: cannot be opened: No such file"));
  CHECK_THAT(result.err, contains(in + "pipe.png: is not a regular file"));
  CHECK_THAT(result.err, contains("missing.png: cannot be opened: No such file"));
  CHECK_THAT(result.err, contains("7 of 9 pictures could not be processed"));
  CHECK(exists(folder / "out/a.png"));
  CHECK(exists(folder / "out/b.jpg"));
  CHECK(count_files(folder / "out") == 3);  // with the contact sheet
}

TEST_CASE("image program: a file above the limit of size is refused") {
  const Folder folder;
  write_picture(folder / "a.png", noisy(200, 200, 3));
  const ProgramResult result =
      run({"--max-megabytes", "0.01", "-o", folder / "out", folder / "a.png"});
  CHECK(result.status == 1);
  CHECK_THAT(result.err, contains("a.png: too large: a file of 1 MB"));
}

TEST_CASE("image program: an output that exists is kept unless overwrite says otherwise") {
  const Folder folder;
  write_picture(folder / "a.png", noisy(20, 20, 3));
  write(folder / "out/a.png", Bytes{'k', 'e', 'e', 'p'});
  const std::vector<std::string> arguments{"-f", "grayscale", "-o", folder / "out",
                                           folder / "a.png"};
  SECTION("kept") {
    const ProgramResult result = run(arguments);
    CHECK(result.status == 1);
    CHECK_THAT(result.err, contains("out/a.png exists already (--overwrite replaces it)"));
    CHECK(read(folder / "out/a.png") == Bytes{'k', 'e', 'e', 'p'});
  }
  SECTION("replaced") {
    std::vector<std::string> more = arguments;
    more.push_back("--overwrite");
    CHECK(run(more).status == 0);
    CHECK(read_picture(folder / "out/a.png").channels == 1);
  }
}

TEST_CASE("image program: an input is never overwritten") {
  const Folder folder;
  write_picture(folder / "a.png", noisy(20, 20, 3));
  const Bytes before = read(folder / "a.png");
  const ProgramResult result =
      run({"--overwrite", "--no-contact-sheet", "-o", folder.path(), folder.path()});
  CHECK(result.status == 1);
  CHECK_THAT(result.err, contains("a.png is one of the inputs"));
  CHECK(read(folder / "a.png") == before);
}

TEST_CASE("image program: two inputs of one name have two outputs") {
  const Folder folder;
  write_picture(folder / "one/x.png", noisy(10, 10, 3));
  write_picture(folder / "two/x.png", noisy(20, 20, 3));
  const ProgramResult result =
      run({"-f", "grayscale", "-o", folder / "out", folder / "one/x.png", folder / "two/x.png"});
  CHECK(result.status == 0);
  CHECK(size_of(folder / "out/x.png") == "10x10");
  CHECK(size_of(folder / "out/x-2.png") == "20x20");
}

TEST_CASE("image program: filters are applied in the order of the command line") {
  const Folder folder;
  write_picture(folder / "a.png", noisy(40, 20, 3));
  CHECK(run({"-f", "resize:30x10", "-f", "rotate:90", "-f", "grayscale", "-o", folder / "one",
             folder / "a.png"})
            .status == 0);
  CHECK(run({"-f", "rotate:90", "-f", "resize:30x10", "-o", folder / "two", folder / "a.png"})
            .status == 0);
  CHECK(size_of(folder / "one/a.png") == "10x30");
  CHECK(size_of(folder / "two/a.png") == "30x10");
}

TEST_CASE("image program: the format of the results can be chosen") {
  const Folder folder;
  write_picture(folder / "a.png", noisy(20, 20, 4));
  CHECK(run({"--format", "jpeg", "-o", folder / "out", folder / "a.png"}).status == 0);
  const Bytes file = read(folder / "out/a.jpg");
  CHECK(decode(file, "a.jpg", 1'000'000).format == Format::jpeg);
}

TEST_CASE("image program: a command line that makes no sense has status 2 and a reason") {
  const auto [arguments, reason] = GENERATE(table<std::vector<std::string>, std::string>({
      {{"--filter", "blurr:2", "x.png"}, "filter \"blurr:2\": no such filter"},
      {{"--filter", "blur:lots", "x.png"}, "not \"lots\""},
      {{"--executor", "magic", "x.png"}, "magic"},
      {{"--workers", "0", "x.png"}, "--workers"},
      {{"--quality", "101", "x.png"}, "--quality"},
      {{"--format", "gif", "x.png"}, "gif"},
      {{"--no-such-option"}, "--no-such-option"},
  }));
  const Folder folder;
  const ProgramResult result = run(arguments, folder.path());
  CHECK(result.status == 2);
  CHECK_THAT(result.err, contains(reason));
  CHECK(count_files(folder.path()) == 0);
}

TEST_CASE("image program: help lists the filters") {
  const ProgramResult result = run({"--help"});
  CHECK(result.status == 0);
  CHECK_THAT(result.out, contains("resize:25%"));
}

TEST_CASE("image program: an output folder that cannot be made is an error for each picture") {
  const Folder folder;
  write_picture(folder / "a.png", noisy(20, 20, 3));
  const ProgramResult result = run({"-o", folder / "a.png" / "out", folder / "a.png"});
  CHECK(result.status == 1);
  CHECK_THAT(result.err, contains("cannot make the folder"));
}
