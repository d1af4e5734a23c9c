// What stands between a socket and cpp-httplib: limits, deadlines and a strict parser.
//
// cpp-httplib 0.11.4, as packaged, reads heads and chunks without bounds, decodes CR LF out of
// percent escapes, believes a REMOTE_ADDR header and shows the text of exceptions. So no byte of a
// client reaches its parser: the gate reads the request, runs the endpoint, and has httplib write
// the reply to a request line that is always the same.
#ifndef HEARTH_SERVER_HTTP_GATE_H_
#define HEARTH_SERVER_HTTP_GATE_H_

#include <httplib.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "absl/random/random.h"
#include "server/daemon.h"
#include "server/http/body.h"
#include "server/http/client_socket.h"
#include "server/http/connection_slots.h"
#include "server/http/endpoint.h"
#include "server/http/request_head.h"

namespace hearth::server {

struct GateLimits {
  HeadLimits head;
  uint64_t max_body;
  uint64_t max_bodies;  // bytes of all bodies that have come and are not yet parsed
  int max_connections;
  std::chrono::milliseconds header_timeout;  // from a head's first byte to its last; of handshakes
  std::chrono::milliseconds body_timeout;
  std::chrono::milliseconds idle_timeout;  // for a head's first byte
  std::chrono::milliseconds write_timeout;
  std::chrono::milliseconds keep_alive;    // of a silent stream
  std::chrono::milliseconds linger{1000};  // see ClientSocket::Linger

  static GateLimits From(const v1::Limits& limits);
};

// What the gates of one server share. Safe from any thread.
struct GateState {
  GateState(Daemon& daemon_in, const GateLimits& limits_in, int drain_fd_in)
      : daemon(daemon_in),
        limits(limits_in),
        drain_fd(drain_fd_in),
        slots(static_cast<size_t>(limits_in.max_connections)),
        bodies(limits_in.max_bodies) {}

  Daemon& daemon;
  const GateLimits limits;
  const int drain_fd;  // readable once draining: idle connections end
  std::atomic<bool> draining{false};
  ConnectionSlots slots;
  BodyBudget bodies;
};

// One connection, one thread. (httplib::Server has nowhere to keep what belongs to a connection,
// so each has its own; it is a few empty tables.)
class Gate final : private httplib::Server {
 public:
  Gate(GateState& state, ClientSocket& socket);

  // Serves requests, in order, until the connection ends. REQUIRES: it has a slot.
  void Run();

 private:
  // kRefused: the reply is there. kEnd: the connection ends without one.
  enum class Step { kGo, kRefused, kEnd };
  struct Exchange;

  bool ServeOne();
  Step Receive(Exchange& exchange);
  Step ReadHead(Exchange& exchange);
  Step Admit(Exchange& exchange);
  Step AdmitClient(Exchange& exchange);
  Step AnswerPreflight(Exchange& exchange);
  Step ReadBody(Exchange& exchange);
  Step ReadSizedBody(Exchange& exchange, SteadyClock::time_point deadline);
  Step ReadChunkedBody(Exchange& exchange, SteadyClock::time_point deadline);
  Step ReadMoreBody(Exchange& exchange, SteadyClock::time_point deadline);
  ClientSocket::Read ReadMore(SteadyClock::time_point deadline, int interrupt_fd);

  void CallEndpoint(Exchange& exchange);
  bool Send(Exchange& exchange);
  void Present(Exchange& exchange, httplib::Response& response);
  bool SendEvents(Exchange& exchange, httplib::DataSink& sink);
  void Account(const Exchange& exchange);

  GateState& state_;
  ClientSocket& socket_;
  std::array<char, 16 * 1024> buffer_;
  std::string_view unread_;  // of buffer_
  absl::BitGen random_;
  Exchange* sending_ = nullptr;
};

}  // namespace hearth::server

#endif  // HEARTH_SERVER_HTTP_GATE_H_
