// An HTTP client that sends exactly the bytes it is given, inside TLS to a TLS listener.
#ifndef HEARTH_TESTS_SERVER_HTTP_RAW_CLIENT_H_
#define HEARTH_TESTS_SERVER_HTTP_RAW_CLIENT_H_

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "server/http/json.h"
#include "server/listener.h"
#include "tests/server/tls_client.h"

namespace hearth::server {

struct RawReply {
  int status = 0;                              // 0: none came
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  Json json() const { return Json::parse(body, nullptr, false); }
  // Members of {"error":{…}}, empty for null.
  std::string error(const char* member) const;
};

class RawClient {
 public:
  // Connects; with TLS, also shakes hands, with whoever answers. REQUIRES: SIGPIPE is ignored.
  // `plain`: without TLS all the same.
  explicit RawClient(const Listener& listener, bool plain = false);
  ~RawClient();
  RawClient(const RawClient&) = delete;

  bool Send(std::string_view bytes);
  void HalfClose();  // FIN, and close_notify
  void Reset();      // RST
  // Shrinks the receive buffer, before anything is read.
  void ReadSlowly();

  // One reply, by Content-Length, chunks, or the end of the connection. `no_body`: to HEAD.
  RawReply Receive(bool no_body = false);
  // The head of a reply alone; its body stays unread.
  RawReply ReceiveHead();
  // Bytes up to and with `end`; what came when that never comes.
  std::string ReceiveUntil(std::string_view end);
  void ReadByte();  // and drop it
  // Whether the connection ends within `limit`; bytes that come before are dropped.
  bool Ends(absl::Duration limit = absl::Seconds(5));

  void set_timeout(absl::Duration timeout) { timeout_ = timeout; }

 private:
  bool More();  // reads some into buffer_
  std::string Take(size_t size);

  int fd_ = -1;
  std::optional<TlsClient> tls_;
  // Long prompts take a busy machine tens of seconds under sanitizers.
  absl::Duration timeout_ = absl::Seconds(120);
  std::string buffer_;
};

// "METHOD path HTTP/1.1" with Host and the header lines given, and a JSON body if there is one.
std::string RequestText(std::string_view method, std::string_view path, std::string_view body = "",
                        std::string_view headers = "");

// The data of the events in a text/event-stream body, comments left out.
std::vector<std::string> Events(std::string_view body);

}  // namespace hearth::server

#endif  // HEARTH_TESTS_SERVER_HTTP_RAW_CLIENT_H_
