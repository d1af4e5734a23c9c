#include "server/http/http_server.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/http/client_socket.h"
#include "server/status.h"

namespace hearth::server {
namespace {

// An endpoint's deepest need is a JSON document of depth 64.
constexpr size_t kStackBytes = 512 * 1024;

// Refuses a connection there is no room for, without waiting for anything: on the accept thread.
// One of TLS would have to shake hands to hear why.
void Shed(const Connection& connection) {
  if (connection.listener->is_tls()) {
    close(connection.fd);
    return;
  }
  HttpError error = Refusal(503, "too many connections");
  error.code = "overloaded";
  const std::string body = ErrorBody(error);
  const std::string reply = absl::StrCat(
      "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
      "Content-Type: application/json\r\nContent-Length: ",
      body.size(), "\r\n\r\n", body);
  send(connection.fd, reply.data(), reply.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  shutdown(connection.fd, SHUT_WR);
  // What is left unread when a socket is closed makes it send RST, but a client may send for ever.
  char dropped[4096];
  for (int i = 0; i < 8; ++i) {
    if (recv(connection.fd, dropped, sizeof(dropped), MSG_DONTWAIT) <= 0) break;
  }
  close(connection.fd);
}

}  // namespace

struct HttpServer::Served {
  HttpServer* server;
  Connection connection;
};

HttpServer::HttpServer(Daemon& daemon, int drain_fd)
    : daemon_(daemon), state_(daemon, GateLimits::From(daemon.config().limits()), drain_fd) {}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(Daemon& daemon,
                                                              std::vector<Listener> listeners) {
  const int drain_fd = eventfd(0, EFD_CLOEXEC);
  if (drain_fd < 0) return absl::InternalError(absl::StrCat("eventfd: ", strerror(errno)));
  std::unique_ptr<HttpServer> server(new HttpServer(daemon, drain_fd));
  absl::StatusOr<std::unique_ptr<AcceptLoop>> loop = AcceptLoop::Start(
      std::move(listeners),
      [raw = server.get()](Connection connection) { raw->Receive(connection); },
      [&daemon] { daemon.metrics().CountShed("http"); });
  if (!loop.ok()) return loop.status();
  server->accept_loop_ = *std::move(loop);
  return server;
}

HttpServer::~HttpServer() {
  Drain(absl::ZeroDuration());
  close(state_.drain_fd);
}

void HttpServer::Drain(absl::Duration limit) {
  if (accept_loop_ != nullptr) accept_loop_->Stop();
  state_.draining = true;
  eventfd_write(state_.drain_fd, 1);
  const auto none_open = [this] { return open_ == 0; };
  std::unique_lock<std::mutex> lock(mutex_);
  if (changed_.wait_for(lock, absl::ToChronoMilliseconds(limit), none_open)) return;
  state_.slots.Cut();
  changed_.wait(lock, none_open);
}

int HttpServer::open_connections() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return open_;
}

void HttpServer::Receive(const Connection& connection) {
  if (!Admit(connection)) {
    daemon_.metrics().CountShed("http");
    Shed(connection);
    return;
  }
  auto served = std::make_unique<Served>(Served{this, connection});
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_t thread;
  const bool started = pthread_create(&thread, &attributes, RunThread, served.get()) == 0;
  pthread_attr_destroy(&attributes);
  if (started) {
    served.release();
    return;
  }
  state_.slots.Release(connection.fd);
  daemon_.metrics().CountShed("http");
  Shed(connection);
  Forget();
}

bool HttpServer::Admit(const Connection& connection) {
  const ConnectionSlots::Taken taken = state_.slots.Take(connection.fd, PeerName(connection));
  if (taken == ConnectionSlots::Taken::kNone) return false;
  if (taken == ConnectionSlots::Taken::kEvicted) daemon_.metrics().CountShed("http");
  std::lock_guard<std::mutex> lock(mutex_);
  daemon_.metrics().SetConnections("http", ++open_);
  return true;
}

// Nothing of the server may be touched after this: its destructor waits for it.
void HttpServer::Forget() {
  std::lock_guard<std::mutex> lock(mutex_);
  daemon_.metrics().SetConnections("http", --open_);
  changed_.notify_all();
}

void* HttpServer::RunThread(void* served) {
  const std::unique_ptr<Served> owned(static_cast<Served*>(served));
  owned->server->Serve(owned->connection);
  // Nobody joins this thread, so its own end may come while exit() takes OpenSSL apart.
  OPENSSL_thread_stop();
  owned->server->Forget();
  return nullptr;
}

void HttpServer::Serve(const Connection& connection) {
  ClientSocket socket(connection, daemon_.tls(), state_.limits.write_timeout);
  {
    Gate gate(state_, socket);
    gate.Run();
  }
  state_.slots.Release(connection.fd);  // before `socket` closes it
}

}  // namespace hearth::server
