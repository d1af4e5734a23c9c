#include "server/http/gate.h"

#include <algorithm>
#include <charconv>
#include <exception>
#include <optional>
#include <string>
#include <typeinfo>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/http/access.h"
#include "server/http/chunked_decoder.h"
#include "server/log.h"
#include "server/status.h"

namespace hearth::server {
namespace {

using std::chrono::milliseconds;

// The request line httplib gets to see, and the way its reply takes.
class ReplyStream final : public httplib::Stream {
 public:
  ReplyStream(ClientSocket& socket, std::string_view request) : socket_(socket), unread_(request) {}

  bool is_readable() const override { return !unread_.empty(); }
  bool is_writable() const override { return !socket_.failed(); }
  ssize_t read(char* data, size_t size) override {
    const size_t n = unread_.copy(data, size);
    unread_.remove_prefix(n);
    return static_cast<ssize_t>(n);
  }
  ssize_t write(const char* data, size_t size) override {
    return socket_.Write({data, size}) ? static_cast<ssize_t>(size) : -1;
  }
  void get_remote_ip_and_port(std::string&, int&) const override {}
  void get_local_ip_and_port(std::string&, int&) const override {}
  socket_t socket() const override { return 0; }  // httplib refuses those beyond FD_SETSIZE

 private:
  ClientSocket& socket_;
  std::string_view unread_;
};

HttpReply ErrorReply(const HttpError& error, ErrorForm form, const std::string& id) {
  HttpReply reply;
  reply.status = error.http_status;
  reply.body = form == ErrorForm::kAnthropic ? AnthropicErrorBody(error, id) : ErrorBody(error);
  if (error.retry_after_seconds > 0) {
    reply.headers.emplace_back("Retry-After", absl::StrCat(error.retry_after_seconds));
  }
  // SDKs try a 5xx again, which would take as long.
  if (error.http_status == 504) reply.headers.emplace_back("x-should-retry", "false");
  if (error.http_status == 401) reply.headers.emplace_back("WWW-Authenticate", "Bearer");
  return reply;
}

HttpError Overloaded() {
  HttpError error = Refusal(503, "too many request bodies at once");
  error.code = "overloaded";
  error.retry_after_seconds = 1;
  return error;
}

// Decodes escapes, which the head parser has found whole.
std::string PercentDecode(std::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    unsigned char byte = static_cast<unsigned char>(text.front());
    const bool escape = byte == '%';
    if (escape) std::from_chars(text.data() + 1, text.data() + 3, byte, 16);
    decoded.push_back(static_cast<char>(byte));
    text.remove_prefix(escape ? 3 : 1);
  }
  return decoded;
}

// What {id} stands for when `row` has this path; empty for rows without it.
std::optional<std::string_view> MatchPath(const EndpointRow& row, std::string_view path) {
  constexpr std::string_view kId = "{id}";
  if (!row.path.ends_with(kId)) {
    return row.path == path ? std::optional(std::string_view()) : std::nullopt;
  }
  const std::string_view prefix = row.path.substr(0, row.path.size() - kId.size());
  if (path.size() <= prefix.size() || !path.starts_with(prefix)) return std::nullopt;
  return path.substr(prefix.size());
}

struct RouteMatch {
  const EndpointRow* row = nullptr;
  std::string_view tail;
  std::string allowed;  // methods of the path, as Allow lists them
  ErrorForm errors = ErrorForm::kOpenAi;
};

RouteMatch FindRoute(const RequestHead& head) {
  RouteMatch match;
  const std::string_view method = head.method == "HEAD" ? std::string_view("GET") : head.method;
  for (const EndpointRow& row : Endpoints()) {
    const std::optional<std::string_view> tail = MatchPath(row, head.path);
    const bool below = head.path.starts_with(std::string(row.path) + "/");  // /v1/messages/batches
    if (tail || below) match.errors = row.errors;
    if (!tail) continue;
    if (!match.allowed.empty()) match.allowed += ", ";
    match.allowed += row.method == "GET" ? "GET, HEAD" : row.method;
    if (row.method != method) continue;
    match.row = &row;
    match.tail = *tail;
  }
  return match;
}

HttpError NoRoute(const RouteMatch& match) {
  if (!match.allowed.empty()) return Refusal(405, "this path does not serve this method");
  HttpError error = Refusal(404, "no such path");
  error.code = "unknown_url";
  return error;
}

constexpr EndpointRow kEndpoints[] = {
#define HEARTH_ENDPOINT(method, path, function, needs_key, errors) \
  {method, path, function, needs_key, ErrorForm::errors},
#include "server/http/endpoints.inc"
#undef HEARTH_ENDPOINT
};

}  // namespace

absl::Span<const EndpointRow> Endpoints() { return kEndpoints; }

GateLimits GateLimits::From(const v1::Limits& limits) {
  constexpr uint64_t kBodies = 16;  // of the largest size
  const auto max_body = static_cast<uint64_t>(limits.max_body_bytes());
  return {.head = {.max_header_bytes = static_cast<size_t>(limits.max_header_bytes()),
                   .max_headers = static_cast<size_t>(limits.max_headers())},
          .max_body = max_body,
          .max_bodies = kBodies * max_body,
          .max_connections = limits.max_connections(),
          .header_timeout = milliseconds(limits.header_timeout_ms()),
          .body_timeout = milliseconds(limits.body_timeout_ms()),
          .idle_timeout = milliseconds(limits.idle_timeout_ms()),
          .write_timeout = milliseconds(limits.write_timeout_ms()),
          .keep_alive = milliseconds(limits.keep_alive_ms())};
}

// One request and its reply.
struct Gate::Exchange {
  Exchange(const ClientSocket& socket, std::string id_in) : request(socket), id(std::move(id_in)) {}

  Step Refuse(const HttpError& error) {
    reply = ErrorReply(error, errors, id);
    return Step::kRefused;
  }

  HttpRequest request;
  HttpReply reply;
  const EndpointRow* row = nullptr;
  ErrorForm errors = ErrorForm::kOpenAi;
  const std::string id;
  bool close = true;  // after the reply; until the request has been read to its end
  const SteadyClock::time_point began = SteadyClock::now();
};

Gate::Gate(GateState& state, ClientSocket& socket) : state_(state), socket_(socket) {
  svr_sock_ = 0;  // httplib takes "no listening socket" for a shutdown, and ends streams
  set_pre_routing_handler([this](const httplib::Request&, httplib::Response& response) {
    Present(*sending_, response);
    return HandlerResponse::Handled;
  });
  set_post_routing_handler([](const httplib::Request&, httplib::Response& response) {
    response.headers.erase("Keep-Alive");     // speaks of httplib's own limits
    response.headers.erase("Accept-Ranges");  // which it says of HEAD, and we have none
    if (response.status == 204) response.headers.erase("Content-Length");
  });
}

void Gate::Run() {
  if (!socket_.Handshake(SteadyClock::now() + state_.limits.header_timeout)) return;
  try {
    while (ServeOne()) {
    }
  } catch (const std::exception& thrown) {  // bad_alloc, for a body or a head
    spdlog::error("http: a connection ended, {}", typeid(thrown).name());
  }
}

bool Gate::ServeOne() {
  Exchange exchange(socket_, absl::StrFormat("req_%016x", absl::Uniform<uint64_t>(random_)));
  const Step step = Receive(exchange);
  const int fd = socket_.connection().fd;
  if (step == Step::kEnd || !state_.slots.BeginReply(fd)) return false;
  if (step == Step::kGo) CallEndpoint(exchange);
  exchange.request.body.Clear();
  exchange.close = exchange.close || state_.draining.load(std::memory_order_relaxed);
  const bool sent = Send(exchange);
  Account(exchange);
  state_.slots.EndReply(fd);
  if (sent && !exchange.close) return true;
  if (sent) socket_.Linger(state_.limits.linger);
  return false;
}

Gate::Step Gate::Receive(Exchange& exchange) {
  Step step = ReadHead(exchange);
  if (step == Step::kGo) step = Admit(exchange);
  if (step == Step::kGo && exchange.row->method == "POST") step = ReadBody(exchange);
  return step;
}

ClientSocket::Read Gate::ReadMore(SteadyClock::time_point deadline, int interrupt_fd) {
  size_t got = 0;
  const ClientSocket::Read read =
      socket_.ReadSome(buffer_.data(), buffer_.size(), got, deadline, interrupt_fd);
  unread_ = std::string_view(buffer_.data(), got);
  return read;
}

Gate::Step Gate::ReadHead(Exchange& exchange) {
  RequestHeadParser parser(state_.limits.head);
  std::optional<SteadyClock::time_point> head_deadline;
  while (true) {
    const RequestHeadParser::State state = parser.Feed(unread_);
    if (state == RequestHeadParser::State::kRefused) return exchange.Refuse(parser.refusal());
    if (state == RequestHeadParser::State::kDone) break;
    if (parser.started() && !head_deadline) {
      head_deadline = SteadyClock::now() + state_.limits.header_timeout;
    }
    const ClientSocket::Read read =
        head_deadline ? ReadMore(*head_deadline, -1)
                      : ReadMore(SteadyClock::now() + state_.limits.idle_timeout, state_.drain_fd);
    if (read == ClientSocket::Read::kTimeout && head_deadline) {
      return exchange.Refuse(Refusal(408, "the request head took too long"));
    }
    if (read != ClientSocket::Read::kData) return Step::kEnd;
  }
  exchange.request.head = std::move(parser.head());
  exchange.close = !exchange.request.head.keep_alive || exchange.request.head.has_body();
  return Step::kGo;
}

Gate::Step Gate::Admit(Exchange& exchange) {
  const RequestHead& head = exchange.request.head;
  const RouteMatch route = FindRoute(head);
  exchange.row = route.row;
  exchange.errors = route.errors;
  if (const Step step = AdmitClient(exchange); step != Step::kGo) return step;
  if (route.row == nullptr) {
    exchange.Refuse(NoRoute(route));
    if (!route.allowed.empty()) {
      exchange.reply.headers.emplace_back("Allow", route.allowed);
    }
    return Step::kRefused;
  }
  exchange.request.path_tail = PercentDecode(route.tail);
  if (route.row->method != "POST") return Step::kGo;
  const std::optional<HttpError> refusal = CheckJsonBody(head, state_.limits.max_body);
  return refusal ? exchange.Refuse(*refusal) : Step::kGo;
}

// Every request without a row needs a key too: what exists is nobody else's business.
Gate::Step Gate::AdmitClient(Exchange& exchange) {
  const RequestHead& head = exchange.request.head;
  const Connection& connection = socket_.connection();
  const Daemon& daemon = state_.daemon;
  const v1::Listen& config = daemon.config().listen();
  if (const auto refusal = CheckHost(head, *connection.listener, config, !daemon.keys().empty())) {
    return exchange.Refuse(*refusal);
  }
  if (const auto refusal = CheckOrigin(head, config)) return exchange.Refuse(*refusal);
  if (IsPreflight(head)) return AnswerPreflight(exchange);
  exchange.request.client = PeerName(connection);
  if (exchange.row != nullptr && !exchange.row->needs_key) return Step::kGo;
  if (const absl::Status peer = daemon.CheckPeer(exchange.request.client); !peer.ok()) {
    return exchange.Refuse(ToHttpError(peer));
  }
  if (daemon.keys().empty()) return Step::kGo;
  absl::StatusOr<std::string> name = Authenticate(head, daemon.keys());
  if (!name.ok()) return exchange.Refuse(ToHttpError(name.status()));
  exchange.request.client = *std::move(name);
  return Step::kGo;
}

// The same for every path, whether it exists or not: a browser sends no key with it.
Gate::Step Gate::AnswerPreflight(Exchange& exchange) {
  exchange.reply.status = 204;
  exchange.reply.headers = {{"Access-Control-Allow-Methods", "GET, HEAD, POST"},
                            {"Access-Control-Allow-Headers", "Authorization, *"},
                            {"Access-Control-Max-Age", "600"}};
  return Step::kRefused;
}

Gate::Step Gate::ReadBody(Exchange& exchange) {
  const RequestHead& head = exchange.request.head;
  const auto deadline = SteadyClock::now() + state_.limits.body_timeout;
  exchange.request.body = Body(state_.bodies, exchange.request.client);
  if (head.expect_continue && unread_.empty() && !socket_.Write("HTTP/1.1 100 Continue\r\n\r\n")) {
    return Step::kEnd;
  }
  const Step step =
      head.chunked ? ReadChunkedBody(exchange, deadline) : ReadSizedBody(exchange, deadline);
  if (step == Step::kGo) exchange.close = !head.keep_alive;
  return step;
}

Gate::Step Gate::ReadSizedBody(Exchange& exchange, SteadyClock::time_point deadline) {
  const uint64_t size = *exchange.request.head.content_length;
  std::string& body = exchange.request.body.text();
  body.reserve(size);  // address space; memory comes with the bytes
  while (true) {
    const size_t taken = std::min<uint64_t>(unread_.size(), size - body.size());
    body.append(unread_.substr(0, taken));
    unread_.remove_prefix(taken);
    if (!exchange.request.body.Count()) return exchange.Refuse(Overloaded());
    if (body.size() == size) return Step::kGo;
    if (const Step step = ReadMoreBody(exchange, deadline); step != Step::kGo) return step;
  }
}

Gate::Step Gate::ReadChunkedBody(Exchange& exchange, SteadyClock::time_point deadline) {
  ChunkedDecoder decoder(state_.limits.max_body);
  Body& body = exchange.request.body;
  while (true) {
    const ChunkedDecoder::State state = decoder.Feed(unread_, body.text());
    if (!body.Count()) return exchange.Refuse(Overloaded());
    if (state == ChunkedDecoder::State::kRefused) return exchange.Refuse(decoder.refusal());
    if (state == ChunkedDecoder::State::kDone) return Step::kGo;
    if (const Step step = ReadMoreBody(exchange, deadline); step != Step::kGo) return step;
  }
}

Gate::Step Gate::ReadMoreBody(Exchange& exchange, SteadyClock::time_point deadline) {
  switch (ReadMore(deadline, -1)) {
    case ClientSocket::Read::kData:
      return Step::kGo;
    case ClientSocket::Read::kTimeout:
      return exchange.Refuse(Refusal(408, "the request body took too long"));
    default:
      return Step::kEnd;
  }
}

void Gate::CallEndpoint(Exchange& exchange) {
  absl::StatusOr<HttpReply> reply = absl::InternalError("internal error");
  try {
    reply = exchange.row->endpoint(state_.daemon, exchange.request);
  } catch (const std::exception& thrown) {  // bad_alloc, first of all; its text is not for clients
    spdlog::error("http {}: {} threw {}", exchange.id, exchange.row->path, typeid(thrown).name());
    reply = absl::InternalError("internal error");
  }
  exchange.reply = reply.ok()
                       ? *std::move(reply)
                       : ErrorReply(ToHttpError(reply.status()), exchange.errors, exchange.id);
}

bool Gate::Send(Exchange& exchange) {
  const bool head_only = exchange.request.head.method == "HEAD";
  ReplyStream stream(socket_, head_only ? "HEAD / HTTP/1.1\r\n\r\n" : "GET / HTTP/1.1\r\n\r\n");
  bool unused = false;
  sending_ = &exchange;
  return process_request(stream, exchange.close, unused, nullptr) && !socket_.failed();
}

// Called back by process_request.
void Gate::Present(Exchange& exchange, httplib::Response& response) {
  HttpReply& reply = exchange.reply;
  response.status = reply.status;
  response.set_header("X-Request-Id", exchange.id);
  if (exchange.errors == ErrorForm::kAnthropic) response.set_header("request-id", exchange.id);
  for (const auto& [name, value] : reply.headers) response.set_header(name, value);
  if (const std::string* origin =
          AllowedOrigin(exchange.request.head, state_.daemon.config().listen())) {
    response.set_header("Access-Control-Allow-Origin", *origin);
    response.set_header("Access-Control-Expose-Headers", "*");
    response.set_header("Vary", "Origin");
  }
  if (reply.status == 204) return;
  if (!reply.stream) {
    response.set_content(reply.body, reply.content_type);
    return;
  }
  const auto provider = [this, &exchange](size_t, httplib::DataSink& sink) {
    return SendEvents(exchange, sink);
  };
  if (exchange.request.head.http_1_0) {  // has no chunks; the end of the connection ends the reply
    response.set_content_provider(reply.content_type, provider);
  } else {
    response.set_chunked_content_provider(reply.content_type, provider);
  }
}

bool Gate::SendEvents(Exchange& exchange, httplib::DataSink& sink) {
  SseStream events(
      [&sink](std::string_view bytes) { return sink.write(bytes.data(), bytes.size()); },
      state_.limits.keep_alive);
  try {
    if (!exchange.reply.stream(events)) exchange.close = true;
  } catch (const std::exception& thrown) {
    spdlog::error("http {}: {} threw {}", exchange.id, exchange.row->path, typeid(thrown).name());
    return false;
  }
  sink.done();
  return true;
}

void Gate::Account(const Exchange& exchange) {
  // The row's path, never the client's, which could be anything.
  const std::string_view route = exchange.row != nullptr ? exchange.row->path : "other";
  const std::string status = absl::StrCat(exchange.reply.status);
  state_.daemon.metrics().CountRequest("http", route, status);
  const auto ms =
      std::chrono::duration_cast<milliseconds>(SteadyClock::now() - exchange.began).count();
  spdlog::debug("http {} {} {} {} ms", exchange.id, route, status, ms);
}

}  // namespace hearth::server
