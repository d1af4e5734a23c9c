// Compiles constraints, one at a time, and keeps those that were used lately. Safe from any thread;
// what is kept is found without waiting for what is being compiled.
#ifndef HEARTH_ENGINE_CONSTRAIN_CONSTRAINT_CACHE_H_
#define HEARTH_ENGINE_CONSTRAIN_CONSTRAINT_CACHE_H_

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>

#include "absl/status/statusor.h"
#include "engine/constrain/constraint.h"
#include "engine/constraint_source.h"

namespace hearth {

class ConstraintCache {
 public:
  // bytes: of what is kept and of what requests hold, sources included.
  explicit ConstraintCache(size_t bytes) : limit_(bytes) {}

  // InvalidArgument as Constraint::Compile, and for what takes more than a quarter of the bytes, as
  // one client could then keep all others from theirs; ResourceExhausted where requests under way
  // hold so much that there is no room.
  absl::StatusOr<std::shared_ptr<const Constraint>> Compile(const ConstraintSource& source);

 private:
  struct Entry {
    ConstraintSource source;
    std::shared_ptr<const Constraint> constraint;
    size_t bytes;
  };
  // Null where it is not kept.
  std::shared_ptr<const Constraint> Find(const ConstraintSource& source);
  bool MakeRoom(size_t bytes);  // REQUIRES: mutex_ is held.

  const size_t limit_;
  std::mutex compiling_;      // held while compiling, which bounds its memory; taken before mutex_
  std::mutex mutex_;          // guards what follows
  std::list<Entry> entries_;  // the latest used first; what requests hold is never left out
  size_t bytes_ = 0;          // of all entries
};

}  // namespace hearth

#endif  // HEARTH_ENGINE_CONSTRAIN_CONSTRAINT_CACHE_H_
