// SPDX-License-Identifier: MIT
#pragma once

// Whole files in and out. What is written appears under its name complete or not at all.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "exif.hpp"
#include "image.hpp"

namespace image_processing {

[[noreturn]] inline void fail_with_errno(const std::string& what) {
  throw PictureError(what + ": " + std::generic_category().message(errno));
}

/// An open file descriptor, closed at the end of the scope.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

inline std::string megabytes(std::uintmax_t bytes) {
  return std::to_string((bytes + 999'999) / 1'000'000) + " MB";
}

/// @throws PictureError when it cannot be read, is empty, or is larger than `max_size`
inline Bytes read_file(const std::string& path, std::size_t max_size) {
  // Non-blocking: a named pipe would wait for its other end before fstat can tell what it is.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) fail_with_errno("cannot be opened");
  struct stat status = {};
  if (::fstat(file.get(), &status) != 0) fail_with_errno("cannot be examined");
  if (S_ISDIR(status.st_mode)) throw PictureError("is a folder");
  if (!S_ISREG(status.st_mode)) throw PictureError("is not a regular file");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size > max_size) {
    throw PictureError("too large: a file of " + megabytes(size) + ", more than the limit of " +
                       megabytes(max_size));
  }
  Bytes bytes(size);
  std::size_t filled = 0;
  while (filled < size) {
    const ssize_t got = ::read(file.get(), bytes.data() + filled, size - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_with_errno("cannot be read");
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  bytes.resize(filled);
  if (bytes.empty()) throw PictureError("empty file");
  return bytes;
}

/// A file that has no final name yet; removed unless `publish` succeeds.
class UnfinishedFile {
 public:
  explicit UnfinishedFile(const std::filesystem::path& folder) {
    static std::atomic<unsigned> counter = 0;
    for (;;) {
      // Relaxed: only the number's uniqueness matters, and the file system has the last word on it.
      const unsigned number = counter.fetch_add(1, std::memory_order_relaxed);
      path_ = folder / (".unfinished-" + std::to_string(::getpid()) + "-" + std::to_string(number));
      fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (fd_ >= 0) return;
      if (errno != EEXIST) fail_with_errno("cannot write into " + folder.string());
    }
  }
  ~UnfinishedFile() {
    if (fd_ >= 0) ::close(fd_);
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;

  void write(ByteView bytes) {
    while (!bytes.empty()) {
      const ssize_t put = ::write(fd_, bytes.data(), bytes.size());
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) fail_with_errno("cannot be written");
      bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    if (::close(std::exchange(fd_, -1)) != 0) fail_with_errno("cannot be written");
  }

  /// Gives the file its name. Without `overwrite`, a name that exists is an error, also when
  /// another process takes it at this very moment.
  void publish(const std::filesystem::path& name, bool overwrite) {
    if (!overwrite) claim(name);
    if (path_.empty()) return;
    if (::rename(path_.c_str(), name.c_str()) != 0) {
      fail_with_errno("cannot be renamed to " + name.string());
    }
    path_.clear();
  }

 private:
  /// link() refuses to replace. Where there are no hard links, an empty file holds the name.
  void claim(const std::filesystem::path& name) {
    if (::link(path_.c_str(), name.c_str()) == 0) {
      ::unlink(path_.c_str());
      path_.clear();
      return;
    }
    if (errno != EEXIST) {
      const Descriptor placeholder(
          ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
      if (placeholder.get() >= 0) return;
    }
    if (errno != EEXIST) fail_with_errno("cannot write " + name.string());
    throw PictureError("the output " + name.string() + " exists already (--overwrite replaces it)");
  }

  std::filesystem::path path_;
  int fd_ = -1;
};

/// Writes under a temporary name in the same folder, then renames. Folders are made as needed.
inline void write_file_whole(const std::filesystem::path& path, ByteView bytes, bool overwrite) {
  std::filesystem::path folder = path.parent_path();
  if (folder.empty()) folder = ".";
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error)
    throw PictureError("cannot make the folder " + folder.string() + ": " + error.message());
  UnfinishedFile file(folder);
  file.write(bytes);
  file.publish(path, overwrite);
}

}  // namespace image_processing
