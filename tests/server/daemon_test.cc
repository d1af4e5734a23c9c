#include "server/daemon.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "gtest/gtest.h"
#include "server/task.h"

namespace hearth::server {
namespace {

class TestTask final : public Task {
 public:
  static std::shared_ptr<TestTask> Start(Daemon& daemon, std::string client) {
    auto task = std::make_shared<TestTask>(daemon, std::move(client));
    EXPECT_TRUE(daemon.Register(task).ok());
    return task;
  }
  TestTask(Daemon& daemon, std::string client) : Task(std::move(client)), daemon_(daemon) {}
  ~TestTask() override { daemon_.Unregister(this); }

  void Cancel(absl::Status why) override { why_ = std::move(why); }
  const absl::Status& why() const { return why_; }

 private:
  Daemon& daemon_;
  absl::Status why_;
};

TEST(Daemon, TasksAreCancelledByTheirOwnClientOnly) {
  Daemon daemon({}, ApiKeys());
  const auto mine = TestTask::Start(daemon, "me");
  const auto other = TestTask::Start(daemon, "me");
  EXPECT_FALSE(daemon.CancelTask(mine->id(), "you"));
  EXPECT_FALSE(daemon.CancelTask("nobody's", "me"));
  EXPECT_TRUE(mine->why().ok());
  EXPECT_TRUE(daemon.CancelTask(mine->id(), "me"));
  EXPECT_TRUE(absl::IsCancelled(mine->why()));
  EXPECT_TRUE(other->why().ok());
  EXPECT_EQ(daemon.live_tasks(), 2);
}

// Whoever looks for a task may become the last owner of another, whose end unregisters it.
TEST(Daemon, TasksMayEndWhileOneIsLookedFor) {
  Daemon daemon({}, ApiKeys());
  std::atomic<bool> done{false};
  std::thread looking([&] {
    while (!done) EXPECT_FALSE(daemon.CancelTask("nobody's", "me"));
  });
  for (int i = 0; i < 20'000; ++i) TestTask::Start(daemon, "me");
  done = true;
  looking.join();
  EXPECT_EQ(daemon.live_tasks(), 0);
}

}  // namespace
}  // namespace hearth::server
