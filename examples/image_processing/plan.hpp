// SPDX-License-Identifier: MIT
#pragma once

// From what the user names (files and folders) to jobs: which pictures, and where each one goes.

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "job.hpp"

namespace image_processing {

/// The contact sheet's name in the output folder; no picture's output takes it.
inline constexpr std::string_view contact_sheet_name = "contact_sheet.jpg";

/// A picture that was asked for. `relative` is its place below the folder that was named, so that
/// a tree is written as a tree; for a file it is the file's name.
struct Input {
  std::filesystem::path path;
  std::filesystem::path relative;
};

struct Inputs {
  std::vector<Input> pictures;
  std::vector<std::string> complaints;  // folders that cannot be read or hold no pictures
};

/// Files are taken whatever their name; in folders, those with the extension of a picture, in
/// alphabetical order. `output` is left out when it lies in one of the folders, so that results do
/// not become inputs. A file that is named twice is taken once.
Inputs find_inputs(const std::vector<std::string>& arguments, bool recursive,
                   const std::filesystem::path& output);

struct PlanOptions {
  std::filesystem::path output;
  FilterChain filters;
  std::optional<Format> format;  // none: JPEG, PNG and BMP stay what they are, others become PNG
  int quality = 85;
  Limits limits;
  bool overwrite = false;
  std::size_t thumbnails = 0;  // that many of the pictures bring thumbnails
};

/// One job a picture, with an output that no other job has: the second "a.jpg" becomes "a-2.jpg".
/// A job whose output is one of the inputs is refused. The jobs that take longest come first, so
/// that at the end no worker sits on a big picture while the others are idle.
std::vector<Job> plan_jobs(const std::vector<Input>& pictures, const PlanOptions& options);

}  // namespace image_processing
