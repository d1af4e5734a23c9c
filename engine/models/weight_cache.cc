#include "engine/models/weight_cache.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/formats/mapped_file.h"
#include "engine/models/weight_file.h"
#include "engine/status_macros.h"

namespace hearth {
namespace {

constexpr char kName[] = "packed-weights";
constexpr char kUnfinished[] = "packed-weights.unfinished";
// Written, and then waited for, at once; between two of them the disk and a core are others'.
constexpr size_t kBatch = 4 * kWeightChunk;
constexpr std::chrono::milliseconds kPause(10);
constexpr char kNotWritten[] = "no packed weights for the next start: ";

// Weights decide every reply: whoever can write the file must be trusted with them already.
absl::Status CheckOwner(const struct stat& info) {
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("belongs to user ", info.st_uid, ", expected ", geteuid(), " or 0"));
  }
  if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return absl::PermissionDeniedError(absl::StrFormat(
        "permissions %04o, expected none for others to write", info.st_mode & 07777));
  }
  return absl::OkStatus();
}

absl::Status ReadFile(const MappedFile& file, ops::Workers& workers, uint64_t key,
                      absl::Span<std::byte> weights) {
  HEARTH_RETURN_IF_ERROR(CheckOwner(file.info()));
  const size_t header_bytes = WeightHeaderBytes(weights.size());
  const size_t expected = header_bytes + weights.size();
  const absl::string_view bytes = file.bytes();
  std::vector<std::byte> header(header_bytes);
  if (bytes.size() < header_bytes) {
    return absl::DataLossError(absl::StrCat(bytes.size(), " bytes, expected ", expected));
  }
  HEARTH_RETURN_IF_ERROR(file.Read(bytes.substr(0, header_bytes), header.data()));
  HEARTH_ASSIGN_OR_RETURN(const std::vector<uint64_t> hashes,
                          ReadWeightHeader(header, key, weights.size()));
  if (bytes.size() != expected) {
    return absl::DataLossError(absl::StrCat(bytes.size(), " bytes, expected ", expected));
  }
  std::atomic<size_t> bad{hashes.size()};
  workers.ParallelFor(static_cast<int32_t>(hashes.size()), [&](int32_t i) {
    if (bad.load(std::memory_order_relaxed) < hashes.size()) return;
    // Hashed while it is in its core's cache.
    const absl::Span<std::byte> chunk = weights.subspan(i * kWeightChunk, kWeightChunk);
    const absl::string_view range = bytes.substr(header_bytes + i * kWeightChunk, chunk.size());
    if (!file.Read(range, chunk.data()).ok() || WeightHash(chunk) != hashes[i]) bad = i;
  });
  if (bad == hashes.size()) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat("chunk ", bad.load(), " of ", hashes.size(), " is damaged"));
}

// False when it was asked to stop.
bool Sleep(const std::stop_token& stop, std::chrono::milliseconds time) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

// A file that appears under its name whole, or not at all. One at a time in a directory: a second
// daemon there finds it locked.
class UnfinishedFile {
 public:
  explicit UnfinishedFile(std::string directory) : directory_(std::move(directory)) {}
  ~UnfinishedFile() {
    if (fd_ >= 0 && !published_) unlinkat(directory_fd_, kUnfinished, 0);
    if (fd_ >= 0) close(fd_);
    if (directory_fd_ >= 0) close(directory_fd_);  // and unlocks it
  }
  UnfinishedFile(const UnfinishedFile&) = delete;
  UnfinishedFile& operator=(const UnfinishedFile&) = delete;

  // Makes room for `bytes`: what an earlier daemon left and the file to be replaced go first.
  // Cancelled where there should be no file.
  absl::Status Create(size_t bytes);
  // Returns when what was written before is on the disk: there are never more than two writes'
  // bytes that the system has yet to write.
  absl::Status Write(size_t begin, absl::Span<const std::byte> bytes);
  absl::Status Publish();

 private:
  absl::Status LockDirectory();
  absl::Status Sync(size_t begin, size_t bytes, unsigned flags) const;
  absl::Status CheckSpace(size_t bytes) const;
  absl::Status Remove(const char* name) const;
  absl::Status Error(const char* what) const {
    return absl::ErrnoToStatus(errno, absl::StrCat(directory_, ": ", what));
  }

  const std::string directory_;
  int directory_fd_ = -1;
  int fd_ = -1;
  bool published_ = false;
  size_t last_begin_ = 0;  // of the last write
  size_t last_bytes_ = 0;
};

absl::Status UnfinishedFile::LockDirectory() {
  if (mkdir(directory_.c_str(), 0700) != 0 && errno != EEXIST) return Error("cannot be made");
  directory_fd_ = open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory_fd_ < 0) return Error("cannot be opened");
  if (flock(directory_fd_, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  if (errno != EWOULDBLOCK) return Error("cannot be locked");
  return absl::CancelledError(absl::StrCat(directory_, ": another daemon writes there"));
}

// An eighth more than the file is left to others; what is to be replaced makes room.
absl::Status UnfinishedFile::CheckSpace(size_t bytes) const {
  struct statfs system;
  if (fstatfs(directory_fd_, &system) != 0) return Error("has no free space to be told");
  if (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC) {
    return absl::CancelledError(absl::StrCat(directory_, ": lies in memory"));
  }
  uint64_t free = uint64_t{system.f_bavail} * static_cast<uint64_t>(system.f_bsize);
  struct stat replaced;
  if (fstatat(directory_fd_, kName, &replaced, AT_SYMLINK_NOFOLLOW) == 0) {
    free += static_cast<uint64_t>(replaced.st_blocks) * 512;
  }
  if (free >= bytes + bytes / 8) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(directory_, ": ", free, " bytes are free, ", bytes + bytes / 8, " needed"));
}

absl::Status UnfinishedFile::Remove(const char* name) const {
  if (unlinkat(directory_fd_, name, 0) == 0 || errno == ENOENT) return absl::OkStatus();
  return Error("what is to be replaced cannot be removed");
}

absl::Status UnfinishedFile::Create(size_t bytes) {
  HEARTH_RETURN_IF_ERROR(LockDirectory());
  HEARTH_RETURN_IF_ERROR(Remove(kUnfinished));
  HEARTH_RETURN_IF_ERROR(CheckSpace(bytes));
  HEARTH_RETURN_IF_ERROR(Remove(kName));
  fd_ = openat(directory_fd_, kUnfinished, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd_ < 0) return Error("no file can be made there");
  int result;
  do {
    result = fallocate(fd_, 0, 0, static_cast<off_t>(bytes));
  } while (result != 0 && errno == EINTR);
  if (result == 0 || errno == EOPNOTSUPP) return absl::OkStatus();
  return Error("no room for the file");
}

absl::Status UnfinishedFile::Write(size_t begin, absl::Span<const std::byte> bytes) {
  for (size_t done = 0; done < bytes.size();) {
    const ssize_t n =
        pwrite(fd_, bytes.data() + done, bytes.size() - done, static_cast<off_t>(begin + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error("the file cannot be written");
    done += static_cast<size_t>(n);
  }
  HEARTH_RETURN_IF_ERROR(Sync(begin, bytes.size(), SYNC_FILE_RANGE_WRITE));
  if (last_bytes_ > 0) {
    HEARTH_RETURN_IF_ERROR(
        Sync(last_begin_, last_bytes_,
             SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER));
  }
  last_begin_ = begin;
  last_bytes_ = bytes.size();
  return absl::OkStatus();
}

// An error of the disk is told here once, and not again by fsync. Where a file system has no such
// call, the last fsync does it all.
absl::Status UnfinishedFile::Sync(size_t begin, size_t bytes, unsigned flags) const {
  if (sync_file_range(fd_, static_cast<off_t>(begin), static_cast<off_t>(bytes), flags) == 0 ||
      errno == ENOSYS || errno == EINVAL || errno == ESPIPE || errno == EOPNOTSUPP) {
    return absl::OkStatus();
  }
  return Error("the file cannot be written");
}

absl::Status UnfinishedFile::Publish() {
  if (fsync(fd_) != 0) return Error("the file cannot be written");
  if (renameat(directory_fd_, kUnfinished, directory_fd_, kName) != 0) {
    return Error("the file cannot be renamed");
  }
  published_ = true;
  if (fsync(directory_fd_) != 0) return Error("cannot be written");
  return absl::OkStatus();
}

}  // namespace

WeightCache::WeightCache(std::string directory, Log log)
    : directory_(std::move(directory)),
      log_(log ? std::move(log) : [](absl::LogSeverity, const std::string&) {}) {}

std::string WeightCache::path() const { return absl::StrCat(directory_, "/", kName); }

bool WeightCache::Load(ops::Workers& workers, uint64_t key, absl::Span<std::byte> weights) {
  const absl::Status status = Read(workers, key, weights);
  loaded_ = status.ok();
  if (!status.ok() && !absl::IsNotFound(status)) {
    const bool expected = absl::IsFailedPrecondition(status);
    log_(expected ? absl::LogSeverity::kInfo : absl::LogSeverity::kWarning,
         absl::StrCat(status.message(), "; the model file is packed instead"));
  }
  return loaded_;
}

absl::Status WeightCache::Read(ops::Workers& workers, uint64_t key,
                               absl::Span<std::byte> weights) const {
  HEARTH_ASSIGN_OR_RETURN(const std::shared_ptr<const MappedFile> file, MappedFile::Open(path()));
  const absl::Status status = ReadFile(*file, workers, key, weights);
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat(path(), ": ", status.message()));
}

void WeightCache::Save(uint64_t key, absl::Span<const std::byte> weights) {
  try {
    writer_ = std::jthread([this, key, weights](std::stop_token stop) {
      const absl::Status status = Write(stop, key, weights);
      if (status.ok()) {
        log_(absl::LogSeverity::kInfo,
             absl::StrFormat("%s: written, %.1f MiB of packed weights", path(),
                             static_cast<double>(weights.size()) / (1 << 20)));
      } else if (!absl::IsCancelled(status)) {
        Fail(status.message());
      } else if (!stop.stop_requested()) {
        log_(absl::LogSeverity::kInfo, absl::StrCat(kNotWritten, status.message()));
      }
    });
  } catch (const std::system_error& error) {
    Fail(absl::StrCat("cannot start a thread: ", error.what()));
  }
}

void WeightCache::Fail(absl::string_view reason) {
  failed_.store(true, std::memory_order_relaxed);
  log_(absl::LogSeverity::kWarning, absl::StrCat(kNotWritten, reason));
}

absl::Status WeightCache::Write(std::stop_token stop, uint64_t key,
                                absl::Span<const std::byte> weights) const {
  // A file beyond RLIMIT_FSIZE is an error here, not the end of the process.
  sigset_t too_large;
  sigemptyset(&too_large);
  sigaddset(&too_large, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, &too_large, nullptr);
  setpriority(PRIO_PROCESS, 0, 19);  // of this thread; where it is not allowed, pauses have to do

  const size_t header_bytes = WeightHeaderBytes(weights.size());
  UnfinishedFile file(directory_);
  HEARTH_RETURN_IF_ERROR(file.Create(header_bytes + weights.size()));
  std::vector<uint64_t> hashes;
  for (size_t begin = 0; begin < weights.size(); begin += kBatch) {
    if (!Sleep(stop, kPause)) return absl::CancelledError("stopped");
    const absl::Span<const std::byte> batch = weights.subspan(begin, kBatch);
    for (size_t at = 0; at < batch.size(); at += kWeightChunk) {
      hashes.push_back(WeightHash(batch.subspan(at, kWeightChunk)));
    }
    HEARTH_RETURN_IF_ERROR(file.Write(header_bytes + begin, batch));
  }
  HEARTH_RETURN_IF_ERROR(file.Write(0, MakeWeightHeader(key, weights.size(), hashes)));
  return file.Publish();
}

}  // namespace hearth
