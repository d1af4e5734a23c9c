// Rows F10 and F20 of the catalogue: accept() fails in every way, and descriptors run out.
#include "server/accept_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace {

// What the next calls of accept4 fail with.
std::mutex scripted_mutex;
std::deque<int> scripted_errors;

}  // namespace

// Stands before libc's in this binary.
extern "C" int accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
  {
    std::lock_guard<std::mutex> lock(scripted_mutex);
    if (!scripted_errors.empty()) {
      errno = scripted_errors.front();
      scripted_errors.pop_front();
      return -1;
    }
  }
  return static_cast<int>(syscall(SYS_accept4, fd, address, size, flags));
}

namespace hearth::server {
namespace {

int ConnectTo(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

// Whether a byte comes within a second; 0: the connection ended instead.
int ReadByte(int fd) {
  pollfd polled = {fd, POLLIN, 0};
  char byte;
  return poll(&polled, 1, 1000) > 0 && recv(fd, &byte, 1, 0) == 1 ? byte : 0;
}

std::vector<Listener> OneListener() {
  std::vector<Listener> listeners;
  listeners.push_back(*Listener::Bind(*ParseListenAddress("127.0.0.1:0"), 0600));
  return listeners;
}

// Greets and closes.
void Greet(Connection connection) {
  send(connection.fd, "x", 1, MSG_NOSIGNAL);
  close(connection.fd);
}

TEST(AcceptLoop, TellsListenersAndPeersApart) {
  std::vector<Listener> listeners = OneListener();
  const std::string path = absl::StrCat("unix:", testing::TempDir(), "/accept.", getpid());
  listeners.push_back(*Listener::Bind(*ParseListenAddress(path), 0600));
  std::mutex mutex;
  std::vector<Connection> got;
  std::atomic<int> accepted{0};
  const auto receive = [&](Connection connection) {
    close(connection.fd);
    std::lock_guard<std::mutex> lock(mutex);
    got.push_back(connection);
    ++accepted;
  };
  auto loop = AcceptLoop::Start(std::move(listeners), receive, [] {});
  ASSERT_TRUE(loop.ok()) << loop.status();
  close(ConnectTo((*loop)->listeners()[0].port()));
  const int local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1, 5);
  ASSERT_EQ(connect(local, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_EQ(ReadByte(local), 0);
  close(local);
  while (accepted < 2) std::this_thread::yield();
  (*loop)->Stop();
  ASSERT_EQ(got.size(), 2u);
  for (const Connection& connection : got) {
    const bool is_unix = connection.listener->is_unix();
    EXPECT_EQ(connection.peer_uid, is_unix ? std::optional<uid_t>(getuid()) : std::nullopt);
  }
}

TEST(AcceptLoop, StopClosesTheListeners) {
  auto loop = AcceptLoop::Start(OneListener(), Greet, [] {});
  ASSERT_TRUE(loop.ok());
  const int port = (*loop)->listeners()[0].port();
  const int before = ConnectTo(port);
  EXPECT_EQ(ReadByte(before), 'x');
  close(before);
  (*loop)->Stop();
  EXPECT_EQ(ConnectTo(port), -1);
  EXPECT_EQ((*loop)->listeners()[0].port(), port);
  (*loop)->Stop();
}

TEST(AcceptLoop, F20_SurvivesEveryErrno) {
  auto loop = AcceptLoop::Start(OneListener(), Greet, [] {});
  ASSERT_TRUE(loop.ok());
  const int port = (*loop)->listeners()[0].port();
  for (const int error :
       {EAGAIN,       EBADF,       ECONNABORTED, EFAULT,      EINTR,          EINVAL,
        EMFILE,       ENFILE,      ENOBUFS,      ENOMEM,      ENOTSOCK,       EOPNOTSUPP,
        EPERM,        EPROTO,      ENETDOWN,     ENOPROTOOPT, EHOSTDOWN,      ENONET,
        EHOSTUNREACH, ENETUNREACH, ETIMEDOUT,    ENOSR,       ESOCKTNOSUPPORT}) {
    {
      std::lock_guard<std::mutex> lock(scripted_mutex);
      scripted_errors = {error, error, error};
    }
    // EMFILE and ENFILE may shed this one; the next is served.
    close(ConnectTo(port));
    const int fd = ConnectTo(port);
    int byte = ReadByte(fd);
    close(fd);
    for (int tries = 0; byte != 'x' && tries < 3; ++tries) {
      const int again = ConnectTo(port);
      byte = ReadByte(again);
      close(again);
    }
    EXPECT_EQ(byte, 'x') << error;
  }
}

// Runs in a child: 0 when connections are shed while descriptors are out, and served afterwards.
int ExhaustAndRecover() {
  std::atomic<int> shed{0};
  auto loop = AcceptLoop::Start(OneListener(), Greet, [&shed] { ++shed; });
  if (!loop.ok()) return 1;
  const int port = (*loop)->listeners()[0].port();
  const int probe = ConnectTo(port);
  if (ReadByte(probe) != 'x' || ReadByte(probe) != 0) return 2;  // closed there: none comes back
  close(probe);
  // The client's sockets come first: they share the limit.
  std::vector<int> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const rlimit limit = {64, 64};
  setrlimit(RLIMIT_NOFILE, &limit);
  std::vector<int> hoard;
  for (int fd; (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;) hoard.push_back(fd);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  for (int client : clients) {
    if (connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return 3;
    if (ReadByte(client) != 0) return 4;  // refused at once, not left hanging
  }
  if (shed < 3) return 5;
  for (int fd : hoard) close(fd);
  const int after = ConnectTo(port);
  return ReadByte(after) == 'x' ? 0 : 6;
}

TEST(AcceptLoop, F10_ShedsWithoutDescriptorsAndRecovers) {
  const pid_t child = fork();
  if (child == 0) _exit(ExhaustAndRecover());
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << status;
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace hearth::server
