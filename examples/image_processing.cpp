// SPDX-License-Identifier: MIT

// Filters pictures, one after the other or side by side in threads or processes.
//
// The Python original (documents, 000 §1) opens pictures with Pillow and sends them through
// ProcessPoolExecutor.map; its filter and its files are left to the reader. Here both are real:
//
//   image_processing                                   makes pictures, and processes those
//   image_processing --compare                         does it three times, and compares
//   image_processing -f orient -f fit:1600x1600 photos/ --recursive -o smaller/
//
// Paths go to the workers rather than pixels: a path travels in a microsecond, 8 megapixels in ten
// milliseconds, and the worker reads the file as fast as its parent would.
//
// Exit status: 0 when all went well, 1 when a picture could not be processed (or, with --compare,
// outputs differ), 2 for a command line that makes no sense.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "image_processing/contact_sheet.hpp"
#include "image_processing/executors.hpp"
#include "image_processing/files.hpp"
#include "image_processing/job.hpp"
#include "image_processing/made_pictures.hpp"
#include "image_processing/plan.hpp"
#include "image_processing/progress.hpp"

namespace image_processing {
namespace {

namespace fs = std::filesystem;

constexpr const char* program = "image_processing";

struct Options {
  std::vector<std::string> inputs;
  bool recursive = false;
  PlanOptions plan;
  ExecutorKind executor = ExecutorKind::process;
  std::size_t workers = 1;
  bool sandbox = false;
  bool compare = false;
  std::size_t made = 24;
  bool contact_sheet = true;
  bool quiet = false;
};

// ---- the command line ----

/// The work is arithmetic, so there are as many workers as CPUs, for threads too.
std::size_t default_workers() { return futures::ProcessPoolExecutor::Options{}.max_workers; }

/// "image_processing_output", or with a number behind it when that folder exists: without an
/// explicit --output every run gets a folder of its own.
fs::path fresh_folder() {
  const std::string name = "image_processing_output";
  std::error_code ignored;
  fs::path folder = name;
  for (std::size_t i = 2; fs::exists(folder, ignored); ++i) folder = name + "-" + std::to_string(i);
  return folder;
}

FilterChain default_chain() { return {Orient{}, Blur{}, Resize{.factor = 0.25}}; }

CLI::Option* add_filters(CLI::App& app, FilterChain& chain) {
  const auto add = [&chain](const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
      try {
        chain.push_back(parse_filter(text));
      } catch (const std::invalid_argument& error) {
        throw CLI::ValidationError(error.what());
      }
    }
    return true;
  };
  return app
      .add_option_function<std::vector<std::string>>("-f,--filter", add,
                                                     "a filter; may be repeated")
      ->type_name("NAME[:ARGUMENTS]")
      ->expected(1)
      ->take_all();
}

/// Fills `options` from the command line; the exit status when there is nothing more to do.
std::optional<int> parse(int argc, char** argv, Options& options) {
  CLI::App app("Filters pictures, one after the other or side by side.", program);
  app.footer(std::string(filter_help()) +
             "Without --filter: orient blur:2 resize:25%. Metadata is not copied, so photographs "
             "want orient first.\n"
             "Exit status: 0 all done, 1 some pictures failed, 2 wrong usage.");
  std::string output, format = "keep", executor = "process";
  double max_megapixels = 100.0, max_megabytes = 256.0;
  bool no_sheet = false;
  options.workers = default_workers();

  app.add_option("inputs", options.inputs, "files and folders; none: pictures are made first");
  add_filters(app, options.plan.filters);
  app.add_flag("-r,--recursive", options.recursive, "look into folders of folders too");
  app.add_option("-o,--output", output,
                 "folder for the results (default: a new image_processing_output)");
  app.add_option("--format", format, "of the results; keep: JPEG, PNG, BMP stay, others become PNG")
      ->check(CLI::IsMember({"keep", "jpeg", "png", "bmp"}))
      ->capture_default_str();
  app.add_option("--quality", options.plan.quality, "of JPEG")
      ->check(CLI::Range(1, 100))
      ->capture_default_str();
  app.add_flag("--overwrite", options.plan.overwrite, "replace results that exist");
  app.add_option("-e,--executor", executor, "how the pictures are processed")
      ->check(CLI::IsMember({"sequential", "thread", "process"}))
      ->capture_default_str();
  app.add_option("-j,--workers", options.workers, "threads or processes")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1024}))
      ->capture_default_str();
  app.add_flag("--sandbox", options.sandbox,
               "decode in processes that can open no files: for pictures from strangers");
  app.add_flag("--compare", options.compare, "run all three executors and compare");
  app.add_option("--made", options.made, "how many pictures to make when there are no inputs")
      ->check(CLI::Range(std::size_t{1}, std::size_t{100'000}))
      ->capture_default_str();
  app.add_option("--max-megapixels", max_megapixels, "refuse larger pictures")
      ->check(CLI::Range(0.001, 10'000.0))
      ->capture_default_str();
  app.add_option("--max-megabytes", max_megabytes, "refuse larger files")
      ->check(CLI::Range(0.001, 100'000.0))
      ->capture_default_str();
  app.add_flag("--no-contact-sheet", no_sheet, "make no contact sheet");
  app.add_flag("-q,--quiet", options.quiet, "report failures only");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  if (options.plan.filters.empty()) options.plan.filters = default_chain();
  options.plan.output = output.empty() ? fresh_folder() : fs::path(output);
  if (format == "jpeg") options.plan.format = Format::jpeg;
  if (format == "png") options.plan.format = Format::png;
  if (format == "bmp") options.plan.format = Format::bmp;
  for (const ExecutorKind kind :
       {ExecutorKind::sequential, ExecutorKind::thread, ExecutorKind::process}) {
    if (executor == name_of(kind)) options.executor = kind;
  }
  if (options.sandbox && !options.compare && options.executor != ExecutorKind::process) {
    std::fprintf(stderr, "%s: --sandbox needs --executor process\n", program);
    return 2;
  }
  options.plan.limits.max_pixels = static_cast<std::size_t>(max_megapixels * 1e6);
  options.plan.limits.max_file_size = static_cast<std::size_t>(max_megabytes * 1e6);
  options.contact_sheet = !no_sheet;
  options.plan.thumbnails = no_sheet ? 0 : 24;
  return std::nullopt;
}

// ---- one run ----

struct Run {
  ExecutorChoice executor;
  std::vector<Job> jobs;
  double seconds = 0.0;
  std::size_t failed = 0;
  Stages stages;  // summed over the pictures that succeeded
  std::map<std::string, ContactPair> pairs;

  std::size_t succeeded() const { return jobs.size() - failed; }
  double per_second() const { return static_cast<double>(succeeded()) / seconds; }
};

void count(Run& run, const Job& job, Outcome& outcome) {
  if (!outcome.ok()) {
    ++run.failed;
    return;
  }
  run.stages.decode += outcome.seconds.decode;
  run.stages.filter += outcome.seconds.filter;
  run.stages.encode += outcome.seconds.encode;
  if (outcome.before.pixels.empty()) return;
  run.pairs[job.input] = {fs::path(job.input).filename().string(), std::move(outcome.before),
                          std::move(outcome.after)};
}

/// The whole program in one call: everything else is preparation and report.
void process_all(Run& run, bool quiet) {
  Progress progress(run.jobs.size(), quiet);
  const auto take = [&](const Job& job, Outcome& outcome) {
    progress.add(job, outcome);
    count(run, job, outcome);
  };
  const auto give_up = [&](const Job& job, const std::string& reason) {
    Outcome outcome;
    outcome.failure = reason;
    take(job, outcome);
  };
  const auto start = std::chrono::steady_clock::now();
  if (run.executor.sandbox) {
    const auto write_and_take = [&](const Job& job, Outcome& outcome) {
      write_content(job, outcome);
      take(job, outcome);
    };
    run_all(run.executor, process_in_memory, run.jobs, write_and_take, give_up, with_content);
  } else {
    run_all(run.executor, process_picture, run.jobs, take, give_up);
  }
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Run make_run(ExecutorKind kind, const Options& options, const std::vector<Input>& pictures,
             const fs::path& output) {
  Run run;
  run.executor = {.kind = kind,
                  .workers = kind == ExecutorKind::sequential ? 1 : options.workers,
                  .sandbox = options.sandbox && kind == ExecutorKind::process};
  PlanOptions plan = options.plan;
  plan.output = output;
  run.jobs = plan_jobs(pictures, plan);
  process_all(run, options.quiet);
  return run;
}

// ---- reports ----

void print_summary(const Run& run) {
  const ExecutorChoice& executor = run.executor;
  std::printf(
      "%zu of %zu pictures in %.2f s with the %s executor (%zu%s worker%s): %.1f images/s\n",
      run.succeeded(), run.jobs.size(), run.seconds, std::string(name_of(executor.kind)).c_str(),
      executor.workers, executor.sandbox ? " sandboxed" : "", executor.workers == 1 ? "" : "s",
      run.per_second());
  if (run.succeeded() == 0) return;
  const double scale = 1000.0 / static_cast<double>(run.succeeded());
  std::printf("a picture takes %.1f ms: decode %.1f, filter %.1f, encode %.1f\n",
              run.stages.total() * scale, run.stages.decode * scale, run.stages.filter * scale,
              run.stages.encode * scale);
}

std::optional<Bytes> content(const std::string& path) {
  try {
    return read_file(path, static_cast<std::size_t>(-1));
  } catch (const PictureError&) {
    return std::nullopt;
  }
}

/// How many outputs of `run` differ from those of `reference`; the jobs are in the same order.
std::size_t count_differences(const Run& run, const Run& reference) {
  std::size_t differences = 0;
  for (std::size_t i = 0; i < run.jobs.size(); ++i) {
    const auto expected = content(reference.jobs[i].output);
    const auto actual = content(run.jobs[i].output);
    if (expected == actual) continue;
    ++differences;
    std::fprintf(stderr, "%s: %s and %s differ\n", program, reference.jobs[i].output.c_str(),
                 run.jobs[i].output.c_str());
  }
  return differences;
}

std::string identity_text(const Run& run, const Run& reference, std::size_t differences) {
  if (&run == &reference) return "reference";
  if (differences > 0) return std::to_string(differences) + " differ";
  return "identical (" + std::to_string(run.succeeded()) + " files)";
}

/// Prints the table; false when outputs differ.
bool print_comparison(const std::vector<Run>& runs) {
  std::printf("\n%-12s %8s %9s %9s %9s  %s\n", "executor", "workers", "seconds", "images/s",
              "speed-up", "outputs");
  bool identical = true;
  for (const Run& run : runs) {
    const std::size_t differences = count_differences(run, runs.front());
    identical = identical && differences == 0;
    std::printf("%-12s %8zu %9.3f %9.2f %8.2fx  %s\n",
                std::string(name_of(run.executor.kind)).c_str(), run.executor.workers, run.seconds,
                run.per_second(), runs.front().seconds / run.seconds,
                identity_text(run, runs.front(), differences).c_str());
  }
  return identical;
}

bool write_contact_sheet(const Options& options, const Run& run) {
  if (!options.contact_sheet || run.pairs.empty()) return true;
  std::vector<ContactPair> pairs;
  pairs.reserve(run.pairs.size());
  for (const auto& [input, pair] : run.pairs) pairs.push_back(pair);
  const fs::path path = options.plan.output / contact_sheet_name;
  try {
    const Image sheet = contact_sheet(pairs, "before and after " + to_string(options.plan.filters));
    write_file_whole(path, encode(sheet, Format::jpeg, 90), options.plan.overwrite);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: contact sheet: %s\n", program, error.what());
    return false;
  }
  if (!options.quiet) std::printf("contact sheet: %s\n", path.c_str());
  return true;
}

// ---- inputs ----

/// Makes the pictures with the same executor that will process them.
Inputs make_inputs(const Options& options) {
  const fs::path folder = options.plan.output / "made";
  if (!options.quiet) {
    std::printf("making %zu pictures in %s\n", options.made, folder.c_str());
    std::fflush(stdout);
  }
  Inputs inputs;
  const auto take = [&](const Recipe& recipe, const std::string& failure) {
    const fs::path path = recipe.path;
    if (failure.empty()) {
      inputs.pictures.push_back({path, path.filename()});
    } else {
      inputs.complaints.push_back(failure);
    }
  };
  run_all(ExecutorChoice{options.executor, options.workers}, make_picture,
          recipes(options.made, folder.string()), take, take);
  return inputs;
}

/// Reads every file once, so that the first of several runs does not pay for the disk. Not for
/// more than the memory is likely to keep.
void warm_up(const std::vector<Input>& pictures) {
  std::uintmax_t total = 0;
  std::error_code ignored;
  for (const Input& input : pictures) {
    const std::uintmax_t size = fs::file_size(input.path, ignored);
    if (ignored) continue;
    total += size;
    if (total > 1'000'000'000) return;
    static_cast<void>(content(input.path.string()));
  }
}

/// The second allocation of megabytes should get the pages of the first: a fresh page costs more
/// than a filter does on it. By default glibc gives blocks above a threshold back at once. Forked
/// workers inherit the setting.
void keep_freed_memory() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the greatest it takes
  mallopt(M_TRIM_THRESHOLD, 512 << 20);
#endif
}

int run_program(const Options& options) {
  const Inputs inputs = options.inputs.empty()
                            ? make_inputs(options)
                            : find_inputs(options.inputs, options.recursive, options.plan.output);
  for (const std::string& complaint : inputs.complaints) {
    std::fprintf(stderr, "%s: %s\n", program, complaint.c_str());
  }
  bool good = inputs.complaints.empty();
  std::vector<Run> runs;
  if (options.compare) {
    warm_up(inputs.pictures);
    for (const ExecutorKind kind :
         {ExecutorKind::sequential, ExecutorKind::thread, ExecutorKind::process}) {
      const fs::path folder = options.plan.output / name_of(kind);
      runs.push_back(make_run(kind, options, inputs.pictures, folder));
      if (!options.quiet) print_summary(runs.back());
    }
    good = print_comparison(runs) && good;
  } else {
    runs.push_back(make_run(options.executor, options, inputs.pictures, options.plan.output));
    if (!options.quiet) print_summary(runs.back());
  }
  for (const Run& run : runs) good = good && run.failed == 0;
  good = write_contact_sheet(options, runs.front()) && good;
  if (runs.front().failed > 0) {
    std::fprintf(stderr, "%s: %zu of %zu pictures could not be processed\n", program,
                 runs.front().failed, runs.front().jobs.size());
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace image_processing

int main(int argc, char** argv) {
  image_processing::keep_freed_memory();
  try {
    image_processing::Options options;
    if (const auto status = image_processing::parse(argc, argv, options)) return *status;
    return image_processing::run_program(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "image_processing: %s\n", error.what());
    return 1;
  }
}
