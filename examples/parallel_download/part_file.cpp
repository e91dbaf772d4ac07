// SPDX-License-Identifier: MIT
#include "part_file.hpp"

#include <fcntl.h>
#include <stdio.h>  // renameat2 is not in <cstdio>
#include <unistd.h>

#include <cerrno>
#include <random>
#include <system_error>
#include <utility>

#include "safe_filename.hpp"

namespace parallel_download {
namespace {

[[noreturn]] void throw_errno(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

/// Renames unless `to` exists. 0, or what errno says.
int rename_without_replacing(int folder, const char* from, const char* to) {
#ifdef RENAME_NOREPLACE
  if (::renameat2(folder, from, folder, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
#endif
  // Where the file system (NFS) does not know that call, a second link does the same in two steps.
  if (::linkat(folder, from, folder, to, 0) != 0) return errno;
  ::unlinkat(folder, from, 0);
  return 0;
}

std::string random_part_name() {
  thread_local std::mt19937_64 random(std::random_device{}());
  return ".parallel_download-" + std::to_string(random()) + ".part";
}

}  // namespace

OutputFolder::OutputFolder(std::filesystem::path path) : path_(std::move(path)), descriptor_(-1) {
  std::error_code error;
  std::filesystem::create_directories(path_, error);
  if (error) throw std::system_error(error, "cannot make the folder " + path_.string());
  descriptor_ = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor_ < 0) throw_errno("cannot open the folder " + path_.string());
  if (::faccessat(descriptor_, ".", W_OK | X_OK, AT_EACCESS) != 0) {
    const int reason = errno;
    ::close(descriptor_);
    errno = reason;
    throw_errno("cannot write to the folder " + path_.string());
  }
}

OutputFolder::~OutputFolder() { ::close(descriptor_); }

std::string OutputFolder::rename_to_free_name(const std::string& from, const std::string& wanted) {
  constexpr std::size_t largest_number = 1'000'000;
  std::size_t number = 0;
  {
    const std::scoped_lock lock(mutex_);
    number = next_number_[wanted];
  }
  for (; number <= largest_number; ++number) {
    std::string name = numbered(wanted, number);
    const int error = rename_without_replacing(descriptor_, from.c_str(), name.c_str());
    if (error == 0) {
      const std::scoped_lock lock(mutex_);
      next_number_[wanted] = number + 1;
      return name;
    }
    errno = error;
    if (error != EEXIST) break;
  }
  throw_errno("cannot save " + (path_ / wanted).string());
}

void PartFile::open() {
  // O_EXCL: neither a file nor a symbolic link that is there already is ever written through.
  constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  constexpr mode_t mode = 0666;  // less the umask, as for any new file
  do {
    temporary_ = random_part_name();
    descriptor_ = ::openat(folder_.descriptor(), temporary_.c_str(), flags, mode);
  } while (descriptor_ < 0 && errno == EEXIST);
  if (descriptor_ < 0) {
    temporary_.clear();
    throw_errno("cannot make a file in " + folder_.path().string());
  }
}

void PartFile::write(std::span<const char> bytes) {
  if (descriptor_ < 0) open();
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_errno("cannot write to " + folder_.path().string());
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void PartFile::discard() noexcept {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  if (!temporary_.empty()) ::unlinkat(folder_.descriptor(), temporary_.c_str(), 0);
  temporary_.clear();
}

std::string PartFile::publish(const std::string& wanted) {
  if (descriptor_ < 0) open();
  // Some file systems tell only now that the disk is full.
  if (::close(std::exchange(descriptor_, -1)) != 0) {
    throw_errno("cannot write to " + folder_.path().string());
  }
  std::string name = folder_.rename_to_free_name(temporary_, wanted);
  temporary_.clear();
  return name;
}

}  // namespace parallel_download
