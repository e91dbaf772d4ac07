// SPDX-License-Identifier: MIT
#pragma once

// Files that appear under their name only when they are whole. The Python originals write straight
// into the final file, so an interrupted download leaves half a picture behind that looks like one.

#include <cstddef>
#include <filesystem>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>

namespace parallel_download {

/// The folder that everything is saved in, held open: names are looked up in it and nowhere else.
///
/// **Thread safety** all members, from any thread.
class OutputFolder {
 public:
  /// Makes the folder and those above it when they are missing.
  /// @throws std::system_error that names the folder when it cannot be made or written to.
  explicit OutputFolder(std::filesystem::path path);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  int descriptor() const { return descriptor_; }

  /// Gives the file `from` the name `wanted`, or wanted-1, wanted-2 … where that is taken. Never
  /// replaces anything, whoever else is writing here; two callers never get the same name.
  /// @return the name it got.  @throws std::system_error
  std::string rename_to_free_name(const std::string& from, const std::string& wanted);

 private:
  std::filesystem::path path_;
  int descriptor_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::size_t> next_number_;  // a hint, so that 10,000 equal names
                                                              // do not try 50,000,000 times
};

/// One file on its way: hidden and temporary until publish(), removed by the destructor.
///
/// It exists only from the first write on, so that a download that fails at once touches no disk.
/// Each member throws std::system_error with the system's reason.
class PartFile {
 public:
  explicit PartFile(OutputFolder& folder) : folder_(folder) {}
  ~PartFile() { discard(); }
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  void write(std::span<const char> bytes);

  /// Forgets what was written, for the next attempt.
  void discard() noexcept;

  /// The whole file gets its name; returns the name it got. An empty one is made when nothing was
  /// written.
  std::string publish(const std::string& wanted);

 private:
  void open();

  OutputFolder& folder_;
  std::string temporary_;  // its name in the folder; empty when there is none
  int descriptor_ = -1;
};

}  // namespace parallel_download
