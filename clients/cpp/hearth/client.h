// A client of hearthd.
//
//   absl::StatusOr<hearth::Client> client =
//       hearth::Client::Create({.address = "unix:/run/hearth/grpc.sock"});
//   hearth::v1::ChatRequest request;
//   *request.add_messages() = hearth::UserMessage("Who are you?");
//   absl::StatusOr<hearth::Reply> reply = hearth::Collect(client->Chat(request));
//
// Requests and responses are the messages of hearth/v1/inference.proto, whose comments say what
// they mean. Errors are the daemon's: code and message as they came, and FieldOf and RetryAfter.
#ifndef HEARTH_CLIENTS_CPP_HEARTH_CLIENT_H_
#define HEARTH_CLIENTS_CPP_HEARTH_CLIENT_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "hearth/reply.h"
#include "hearth/stream.h"
#include "hearth/v1/inference.pb.h"

namespace hearth {

// Of addresses that begin with "tls:". All but the name is PEM.
struct Tls {
  std::string root_certificates = {};  // that are trusted; empty: the system's
  std::string server_name = {};        // that the certificate must be of; empty: the address's host
  std::string certificate = {};        // the client's own, for daemons that want one
  std::string private_key = {};        // its key
};

struct ClientOptions {
  std::string address = "127.0.0.1:8081";  // HOST:PORT, tls:HOST:PORT or unix:PATH
  std::string key = {};                    // empty: none
  Tls tls = {};
};

struct CallOptions {
  // For the whole call, streams included; then it ends with DeadlineExceeded. Absent: none.
  std::optional<std::chrono::milliseconds> timeout = {};
  // A stop request cancels the call.
  std::stop_token stop = {};
};

// Its methods may be called from any number of threads at once; they share one connection, which
// is made with the first call and again whenever it is lost.
class Client {
 public:
  // InvalidArgument for an address that is none, a key that no header can carry, and certificates
  // for an address that would not use them.
  static absl::StatusOr<Client> Create(const ClientOptions& options);
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  GenerationStream Chat(const v1::ChatRequest& request, const CallOptions& options = {}) const;
  GenerationStream Generate(const v1::GenerateRequest& request,
                            const CallOptions& options = {}) const;
  absl::StatusOr<v1::TokenizeResponse> Tokenize(const v1::TokenizeRequest& request,
                                                const CallOptions& options = {}) const;
  absl::StatusOr<v1::DetokenizeResponse> Detokenize(const v1::DetokenizeRequest& request,
                                                    const CallOptions& options = {}) const;
  absl::StatusOr<v1::RenderChatResponse> RenderChat(const v1::RenderChatRequest& request,
                                                    const CallOptions& options = {}) const;
  absl::StatusOr<v1::EmbedResponse> Embed(const v1::EmbedRequest& request,
                                          const CallOptions& options = {}) const;
  absl::StatusOr<v1::ScoreResponse> Score(const v1::ScoreRequest& request,
                                          const CallOptions& options = {}) const;
  absl::StatusOr<v1::EstimateResponse> Estimate(const v1::EstimateRequest& request,
                                                const CallOptions& options = {}) const;
  absl::StatusOr<v1::CancelResponse> Cancel(const v1::CancelRequest& request,
                                            const CallOptions& options = {}) const;

  absl::StatusOr<v1::GetModelResponse> GetModel(const CallOptions& options = {}) const;
  absl::StatusOr<v1::GetLoadResponse> GetLoad(const CallOptions& options = {}) const;
  LoadStream WatchLoad(const v1::WatchLoadRequest& request, const CallOptions& options = {}) const;
  absl::StatusOr<v1::DrainResponse> Drain(const CallOptions& options = {}) const;
  absl::Status FlushCache(const CallOptions& options = {}) const;
  absl::StatusOr<v1::PinPrefixResponse> PinPrefix(const v1::PinPrefixRequest& request,
                                                  const CallOptions& options = {}) const;
  absl::Status UnpinPrefix(const v1::UnpinPrefixRequest& request,
                           const CallOptions& options = {}) const;

 private:
  struct Connection;
  explicit Client(std::unique_ptr<Connection> connection);

  std::unique_ptr<Connection> connection_;
};

// The request field that an InvalidArgument is about, where the daemon named one.
std::optional<std::string> FieldOf(const absl::Status& status);
// When to try again, where the daemon said so.
std::optional<std::chrono::milliseconds> RetryAfter(const absl::Status& status);

}  // namespace hearth

#endif  // HEARTH_CLIENTS_CPP_HEARTH_CLIENT_H_
