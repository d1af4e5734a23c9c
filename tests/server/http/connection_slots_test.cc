#include "server/http/connection_slots.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "gtest/gtest.h"

namespace hearth::server {
namespace {

using Taken = ConnectionSlots::Taken;

// The server's end of a connection.
class Pair {
 public:
  Pair() { EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends_), 0); }
  ~Pair() {
    close(ends_[0]);
    close(ends_[1]);
  }
  Pair(const Pair&) = delete;

  int fd() const { return ends_[0]; }
  bool is_down() const {
    pollfd polled = {ends_[1], POLLRDHUP, 0};
    poll(&polled, 1, 0);
    return (polled.revents & POLLRDHUP) != 0;
  }

 private:
  int ends_[2];
};

TEST(ConnectionSlots, F17_TheLongestWaitOfTheGreatestHolderEnds) {
  ConnectionSlots slots(4);
  Pair modest, first, second, third, newcomer;
  EXPECT_EQ(slots.Take(modest.fd(), "modest"), Taken::kFree);
  for (const Pair* pair : {&first, &second, &third}) {
    EXPECT_EQ(slots.Take(pair->fd(), "greedy"), Taken::kFree);
  }
  ASSERT_TRUE(slots.BeginReply(first.fd()));
  slots.EndReply(first.fd());  // waits from now on
  EXPECT_EQ(slots.Take(newcomer.fd(), "newcomer"), Taken::kEvicted);
  EXPECT_TRUE(second.is_down());
  for (const Pair* pair : {&modest, &first, &third, &newcomer}) EXPECT_FALSE(pair->is_down());
  EXPECT_FALSE(slots.BeginReply(second.fd()));
}

TEST(ConnectionSlots, RepliesAreNotCut) {
  ConnectionSlots slots(2);
  Pair first, second, third;
  slots.Take(first.fd(), "a");
  slots.Take(second.fd(), "a");
  ASSERT_TRUE(slots.BeginReply(first.fd()));
  ASSERT_TRUE(slots.BeginReply(second.fd()));
  EXPECT_EQ(slots.Take(third.fd(), "b"), Taken::kNone);
  slots.EndReply(second.fd());
  EXPECT_EQ(slots.Take(third.fd(), "b"), Taken::kEvicted);
  EXPECT_TRUE(second.is_down());
  EXPECT_FALSE(first.is_down());
}

TEST(ConnectionSlots, WhoHoldsMostTakesFromNobodyElse) {
  ConnectionSlots slots(3);
  Pair modest, first, second, third;
  slots.Take(modest.fd(), "modest");
  slots.Take(first.fd(), "greedy");
  slots.Take(second.fd(), "greedy");
  ASSERT_TRUE(slots.BeginReply(first.fd()));
  ASSERT_TRUE(slots.BeginReply(second.fd()));
  EXPECT_EQ(slots.Take(third.fd(), "greedy"), Taken::kNone);
  EXPECT_FALSE(modest.is_down());
}

TEST(ConnectionSlots, ReleasedSlotsAreFree) {
  ConnectionSlots slots(1);
  Pair first, second, third;
  EXPECT_EQ(slots.Take(first.fd(), "a"), Taken::kFree);
  EXPECT_EQ(slots.Take(second.fd(), "a"), Taken::kEvicted);
  slots.Release(first.fd());
  slots.Release(second.fd());
  EXPECT_EQ(slots.Take(third.fd(), "a"), Taken::kFree);
}

TEST(ConnectionSlots, F17_ThreadsOnTheirWayOutAreBounded) {
  ConnectionSlots slots(1);
  std::vector<std::unique_ptr<Pair>> pairs;
  Taken taken = Taken::kFree;
  while (taken != Taken::kNone && pairs.size() < 1000) {
    pairs.push_back(std::make_unique<Pair>());
    taken = slots.Take(pairs.back()->fd(), "a");
  }
  EXPECT_LT(pairs.size(), 100u);
  slots.Release(pairs.front()->fd());
  EXPECT_EQ(slots.Take(pairs.back()->fd(), "a"), Taken::kEvicted);
}

}  // namespace
}  // namespace hearth::server
