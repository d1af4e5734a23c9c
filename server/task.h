// What a client has under way: a Session that generates, or a PromptRun.
#ifndef HEARTH_SERVER_TASK_H_
#define HEARTH_SERVER_TASK_H_

#include <string>

#include "absl/status/status.h"

namespace hearth::server {

class Task {
 public:
  virtual ~Task() = default;

  // Ends it; who waits for it is told `why`. Safe from any thread.
  virtual void Cancel(absl::Status why) = 0;

  const std::string& id() const { return id_; }  // "9f2c…", 24 hex digits, random
  const std::string& client() const { return client_; }

 protected:
  explicit Task(std::string client);

 private:
  const std::string id_;
  const std::string client_;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_TASK_H_
