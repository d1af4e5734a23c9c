#include "engine/scheduler/fair_share.h"

#include <gtest/gtest.h>

namespace hearth {
namespace {

constexpr Clock::time_point kNow{};

TEST(FairShare, ANewClientStartsAtTheLowestInTheQueue) {
  FairShare clients;
  FairShare::Client* a = clients.Join("a");
  FairShare::Client* b = clients.Join("b");
  clients.Charge(a, 100);
  clients.Charge(b, 70);
  EXPECT_EQ(clients.Join("c")->served, 70u);
}

TEST(FairShare, AClientThatWaitsIsNotLifted) {
  FairShare clients;
  FairShare::Client* a = clients.Join("a");
  FairShare::Client* b = clients.Join("b");
  clients.Charge(b, 70);
  clients.Admit(b, Priority::kNormal, 0, kNow);
  clients.Join("b");
  EXPECT_EQ(clients.Join("a")->served, 0u);
  EXPECT_EQ(a->waiting, 2);
}

TEST(FairShare, AnEmptyQueueLiftsToTheClientAdmittedLast) {
  FairShare clients;
  FairShare::Client* a = clients.Join("a");
  clients.Charge(a, 40);
  clients.Admit(a, Priority::kNormal, 25, kNow);
  EXPECT_EQ(a->served, 65u);
  EXPECT_EQ(clients.Join("b")->served, 40u);
}

TEST(FairShare, DebtIsKeptWhileOthersCompete) {
  FairShare clients;
  FairShare::Client* a = clients.Join("a");
  clients.Join("b");
  clients.Admit(a, Priority::kNormal, 500, kNow);
  clients.Leave(a, false);
  EXPECT_EQ(clients.num_clients(), 2u);
  EXPECT_EQ(clients.Join("a")->served, 500u);
}

TEST(FairShare, ForgetsIdleClientsThatOweNothing) {
  FairShare clients;
  FairShare::Client* steady = clients.Join("steady");
  for (int i = 0; i < 1000; ++i) {
    FairShare::Client* passing = clients.Join("passing" + std::to_string(i));
    clients.Admit(passing, Priority::kNormal, 10, kNow);
    clients.Leave(passing, false);
    clients.Charge(steady, 10);
  }
  EXPECT_LE(clients.num_clients(), 3u);
  clients.Leave(steady, true);
  EXPECT_EQ(clients.num_clients(), 0u);
  EXPECT_EQ(clients.Join("anyone")->served, 0u);
}

TEST(FairShare, RemembersTheLatestAdmissionByPriority) {
  FairShare clients;
  FairShare::Client* a = clients.Join("a");
  const Clock::time_point later = kNow + std::chrono::seconds(5);
  clients.Admit(a, Priority::kHigh, 1, later);
  EXPECT_EQ(a->last_admitted[static_cast<size_t>(Priority::kHigh)], later);
  EXPECT_EQ(a->last_admitted[static_cast<size_t>(Priority::kLow)], Clock::time_point{});
}

}  // namespace
}  // namespace hearth
