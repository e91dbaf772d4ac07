// SPDX-License-Identifier: MIT

// Finds pictures and names outputs.

#include "plan.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

namespace image_processing {
namespace {

namespace fs = std::filesystem;

struct Extension {
  std::string_view text;
  Format format;
};

constexpr Extension extensions[] = {
    {".jpg", Format::jpeg}, {".jpeg", Format::jpeg}, {".jpe", Format::jpeg}, {".png", Format::png},
    {".bmp", Format::bmp},  {".tga", Format::tga},   {".psd", Format::psd},  {".pnm", Format::pnm},
    {".ppm", Format::pnm},  {".pgm", Format::pnm},
};

std::optional<Format> format_by_name(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const Extension& known : extensions) {
    if (known.text == ending) return known.format;
  }
  return std::nullopt;
}

bool same_file(const fs::path& a, const fs::path& b) {
  std::error_code error;
  return fs::equivalent(a, b, error) && !error;
}

/// Walks one folder. Symbolic links to folders are not followed: no cycles.
class FolderScan {
 public:
  FolderScan(fs::path root, bool recursive, const fs::path& output, Inputs& found)
      : root_(std::move(root)), recursive_(recursive), output_(output), found_(found) {}

  void run() {
    const std::size_t before = found_.pictures.size();
    scan(root_);
    if (found_.pictures.size() == before && !complained_) {
      found_.complaints.push_back(root_.string() + ": no pictures in this folder" +
                                  (recursive_ ? "" : " (--recursive looks into those below)"));
    }
  }

 private:
  void complain(const fs::path& folder, const std::error_code& error) {
    complained_ = true;
    found_.complaints.push_back(folder.string() + ": cannot be listed: " + error.message());
  }

  void scan(const fs::path& folder) {
    std::error_code error;
    fs::directory_iterator entries(folder, error);
    if (error) return complain(folder, error);
    std::vector<fs::path> files, folders;
    for (const fs::directory_iterator end; entries != end; entries.increment(error)) {
      sort_entry(*entries, files, folders);
      if (error) break;
    }
    if (error) complain(folder, error);
    std::sort(files.begin(), files.end());
    std::sort(folders.begin(), folders.end());
    for (fs::path& file : files) {
      fs::path relative = file.lexically_relative(root_);
      found_.pictures.push_back({std::move(file), std::move(relative)});
    }
    for (const fs::path& below : folders) {
      if (!same_file(below, output_)) scan(below);
    }
  }

  void sort_entry(const fs::directory_entry& entry, std::vector<fs::path>& files,
                  std::vector<fs::path>& folders) const {
    std::error_code ignored;
    if (entry.is_directory(ignored)) {
      if (recursive_ && !entry.is_symlink(ignored)) folders.push_back(entry.path());
    } else if (format_by_name(entry.path())) {
      files.push_back(entry.path());
    }
  }

  fs::path root_;
  bool recursive_;
  const fs::path& output_;
  Inputs& found_;
  bool complained_ = false;
};

using FileId = std::pair<std::uintmax_t, std::uintmax_t>;

std::optional<FileId> id_of(const fs::path& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return FileId(status.st_dev, status.st_ino);
}

void drop_repeated(std::vector<Input>& pictures) {
  std::set<fs::path> seen;
  std::erase_if(pictures, [&](const Input& input) {
    return !seen.insert(fs::absolute(input.path).lexically_normal()).second;
  });
}

std::string_view extension_of(Format format) {
  return format == Format::jpeg ? ".jpg" : format == Format::bmp ? ".bmp" : ".png";
}

Format output_format(const Input& input, const PlanOptions& options) {
  if (options.format) return *options.format;
  const Format format = format_by_name(input.path).value_or(Format::png);
  return format == Format::jpeg || format == Format::bmp ? format : Format::png;
}

/// The picture's place below the output folder, with the extension of its new format and a number
/// when that name is taken. Names that differ only in case count as the same: some file systems
/// make no difference.
fs::path free_name(const Input& input, Format format, std::set<std::string>& taken) {
  const fs::path name = input.relative;
  const bool keeps_extension = format_by_name(name) == format && format != Format::pnm;
  const std::string extension =
      keeps_extension ? name.extension().string() : std::string(extension_of(format));
  for (std::size_t number = 1;; ++number) {
    std::string file = name.stem().string();
    if (number > 1) file.append("-").append(std::to_string(number));
    const fs::path candidate = name.parent_path() / file.append(extension);
    std::string key = candidate.string();
    std::transform(key.begin(), key.end(), key.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (taken.insert(std::move(key)).second) return candidate;
  }
}

/// What a picture will take, roughly: decoding and filtering go by pixels, and compressed formats
/// hold more of them in a byte.
std::uintmax_t expected_cost(const Input& input) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(input.path, error);
  if (error) return 0;
  switch (format_by_name(input.path).value_or(Format::bmp)) {
    case Format::jpeg:
      return size * 8;
    case Format::png:
      return size * 3;
    default:
      return size;
  }
}

Job job_for(const Input& input, const PlanOptions& options, std::set<std::string>& taken) {
  Job job;
  job.input = input.path.string();
  job.format = output_format(input, options);
  job.output = (options.output / free_name(input, job.format, taken)).string();
  job.filters = options.filters;
  job.quality = options.quality;
  job.limits = options.limits;
  job.overwrite = options.overwrite;
  return job;
}

/// A job and its place in the order: the costliest first, then as named.
struct Planned {
  std::uintmax_t cost;
  std::size_t index;
  Job job;

  bool operator<(const Planned& other) const {
    return std::tie(other.cost, index) < std::tie(cost, other.index);
  }
};

}  // namespace

Inputs find_inputs(const std::vector<std::string>& arguments, bool recursive,
                   const fs::path& output) {
  Inputs found;
  for (const std::string& argument : arguments) {
    const fs::path path(argument);
    std::error_code ignored;
    if (fs::is_directory(path, ignored)) {
      FolderScan(path, recursive, output, found).run();
    } else {
      found.pictures.push_back({path, path.filename()});
    }
  }
  drop_repeated(found.pictures);
  return found;
}

std::vector<Job> plan_jobs(const std::vector<Input>& pictures, const PlanOptions& options) {
  std::set<FileId> inputs;
  for (const Input& input : pictures) {
    if (const auto id = id_of(input.path)) inputs.insert(*id);
  }
  std::set<std::string> taken{std::string(contact_sheet_name)};
  std::vector<Planned> planned;
  planned.reserve(pictures.size());
  for (const Input& input : pictures) {
    Job job = job_for(input, options, taken);
    job.wants_thumbnails = planned.size() < options.thumbnails;
    const auto existing = id_of(job.output);
    if (existing && inputs.contains(*existing)) {
      job.refusal = "its output " + job.output + " is one of the inputs";
    } else if (existing && !options.overwrite) {
      job.refusal = "the output " + job.output + " exists already (--overwrite replaces it)";
    }
    planned.push_back({expected_cost(input), planned.size(), std::move(job)});
  }
  std::sort(planned.begin(), planned.end());
  std::vector<Job> jobs;
  jobs.reserve(planned.size());
  for (Planned& next : planned) jobs.push_back(std::move(next.job));
  return jobs;
}

}  // namespace image_processing
