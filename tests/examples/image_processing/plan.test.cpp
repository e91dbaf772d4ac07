// SPDX-License-Identifier: MIT

// Which pictures are taken, and where each result goes.

#include "image_processing/plan.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "image_processing/made_pictures.hpp"
#include "pictures.hpp"
#include "support/catch.hpp"

using image_processing::find_inputs;
using image_processing::Format;
using image_processing::Inputs;
using image_processing::Job;
using image_processing::plan_jobs;
using image_processing::PlanOptions;
using image_processing::Recipe;
using pictures::Folder;
using pictures::noisy;
using pictures::write_picture;
using support::matchers::contains;

namespace {

/// The outputs below the folder for results, in alphabetical order.
std::vector<std::string> outputs(const std::vector<Job>& jobs, const PlanOptions& options) {
  std::vector<std::string> names;
  for (const Job& job : jobs) {
    names.push_back(pictures::fs::path(job.output).lexically_relative(options.output).string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> names(const Inputs& inputs) {
  std::vector<std::string> list;
  for (const auto& input : inputs.pictures) list.push_back(input.relative.string());
  return list;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("image plan: a folder gives its pictures, and those below only when asked") {
  const Folder folder;
  write_picture(folder / "b.png", noisy(4, 4, 3));
  write_picture(folder / "A.JPG", noisy(4, 4, 3), Format::jpeg);
  write_picture(folder / "below/c.png", noisy(4, 4, 3));
  pictures::write(folder / "notes.txt", image_processing::Bytes{1});
  CHECK(names(find_inputs({folder.path()}, false, "out")) == Names{"A.JPG", "b.png"});
  CHECK(names(find_inputs({folder.path()}, true, "out")) == Names{"A.JPG", "b.png", "below/c.png"});
}

TEST_CASE("image plan: results inside the folder that is read do not become inputs") {
  const Folder folder;
  write_picture(folder / "a.png", noisy(4, 4, 3));
  write_picture(folder / "out/b.png", noisy(4, 4, 3));
  CHECK(names(find_inputs({folder.path()}, true, folder / "out")) == Names{"a.png"});
}

TEST_CASE("image plan: a link that makes folders go in circles is not followed") {
  const Folder folder;
  write_picture(folder / "a.png", noisy(4, 4, 3));
  pictures::fs::create_directory_symlink(folder.path(), folder / "again");
  CHECK(names(find_inputs({folder.path()}, true, "out")) == Names{"a.png"});
}

TEST_CASE("image plan: a folder without pictures is named") {
  const Folder folder;
  const Inputs inputs = find_inputs({folder.path()}, false, "out");
  REQUIRE(inputs.complaints.size() == 1);
  CHECK_THAT(inputs.complaints[0], contains(folder.path().string()));
  CHECK_THAT(inputs.complaints[0], contains("no pictures"));
}

TEST_CASE("image plan: a picture that is named twice is taken once") {
  const Folder folder;
  write_picture(folder / "a.png", noisy(4, 4, 3));
  const Inputs inputs =
      find_inputs({folder.path(), folder / "a.png", folder.path() / "." / "a.png"}, false, "out");
  CHECK(inputs.pictures.size() == 1);
}

TEST_CASE("image plan: equal names get numbers") {
  PlanOptions options;
  options.output = "out";
  const Inputs inputs =
      find_inputs({"one/x.jpg", "two/x.jpg", "three/X.JPG", "four/x-2.jpg"}, false, "out");
  CHECK(outputs(plan_jobs(inputs.pictures, options), options) ==
        Names{"X-3.JPG", "x-2-2.jpg", "x-2.jpg", "x.jpg"});
}

TEST_CASE("image plan: names that become equal by their new extension get numbers") {
  PlanOptions options;
  options.output = "out";
  options.format = Format::png;
  const Inputs inputs = find_inputs({"x.jpg", "x.bmp", "x"}, false, "out");
  CHECK(outputs(plan_jobs(inputs.pictures, options), options) ==
        Names{"x-2.png", "x-3.png", "x.png"});
}

TEST_CASE("image plan: no picture takes the name of the contact sheet") {
  PlanOptions options;
  options.output = "out";
  const Inputs inputs = find_inputs({"contact_sheet.jpg"}, false, "out");
  CHECK(outputs(plan_jobs(inputs.pictures, options), options) == Names{"contact_sheet-2.jpg"});
}

TEST_CASE("image plan: formats that are not written become PNG") {
  PlanOptions options;
  options.output = "out";
  const Inputs inputs =
      find_inputs({"a.jpeg", "b.tga", "c.psd", "d.ppm", "e.bmp", "f.dat"}, false, "out");
  CHECK(outputs(plan_jobs(inputs.pictures, options), options) ==
        Names{"a.jpeg", "b.png", "c.png", "d.png", "e.bmp", "f.png"});
}

TEST_CASE("image plan: an output that is an input is refused even with overwrite") {
  const Folder folder;
  write_picture(folder / "a.png", noisy(4, 4, 3));
  PlanOptions options;
  options.overwrite = true;
  SECTION("in the same folder") { options.output = folder.path(); }
  SECTION("by way of a link") {
    options.output = folder / "link";
    pictures::fs::create_directory_symlink(folder.path(), options.output);
  }
  const auto jobs = plan_jobs(find_inputs({folder / "a.png"}, false, "out").pictures, options);
  REQUIRE(jobs.size() == 1);
  CHECK_THAT(jobs[0].refusal, contains("is one of the inputs"));
}

TEST_CASE("image plan: the costliest pictures come first") {
  const Folder folder;
  write_picture(folder / "a.png", noisy(4, 4, 3));
  write_picture(folder / "b.png", noisy(90, 90, 3));
  write_picture(folder / "c.png", noisy(30, 30, 3));
  PlanOptions options;
  options.output = folder / "out";
  const auto jobs = plan_jobs(find_inputs({folder.path()}, false, "out").pictures, options);
  REQUIRE(jobs.size() == 3);
  CHECK_THAT(jobs[0].input, support::matchers::ends_with("b.png"));
  CHECK_THAT(jobs[2].input, support::matchers::ends_with("a.png"));
}

TEST_CASE("image plan: the made set is varied and between half a megapixel and eight") {
  const std::vector<Recipe> list = image_processing::recipes(24, "made");
  REQUIRE(list.size() == 24);
  std::set<Format> formats;
  std::set<std::string> paths;
  std::set<int> orientations, motifs;
  for (const Recipe& recipe : list) {
    CHECK(recipe.width * recipe.height >= 500'000);
    CHECK(recipe.width * recipe.height <= 8'000'000);
    formats.insert(recipe.format);
    paths.insert(recipe.path);
    orientations.insert(recipe.orientation);
    motifs.insert(static_cast<int>(recipe.motif));
  }
  CHECK(formats.size() == 6);
  CHECK(paths.size() == 24);
  CHECK(orientations.size() >= 3);
  CHECK(motifs.size() == 6);
}

TEST_CASE("image plan: a made picture is the same on every run") {
  Recipe recipe;
  recipe.width = 64;
  recipe.height = 48;
  recipe.motif = image_processing::Motif::landscape;
  CHECK(encode_made(paint(recipe), recipe) == encode_made(paint(recipe), recipe));
}
