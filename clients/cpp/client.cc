#include "hearth/client.h"

#include <absl/strings/str_cat.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <charconv>
#include <string_view>
#include <system_error>
#include <utility>

#include "clients/cpp/stream_call.h"

namespace hearth {
namespace {

// Embeddings of 256 inputs and scores of 64 candidates pass gRPC's default of 4 MiB.
constexpr int kMostResponseBytes = 64 << 20;

constexpr std::string_view kTls = "tls:";

bool IsAddress(std::string_view address) {
  if (address.starts_with("unix:")) return address.size() > 5;
  if (address.starts_with(kTls)) address.remove_prefix(kTls.size());
  const size_t colon = address.rfind(':');
  if (colon == std::string_view::npos || colon == 0 || address.find('/') != address.npos) {
    return false;
  }
  const std::string_view port = address.substr(colon + 1);  // gRPC takes a larger one modulo 2^16
  int number = 0;
  const auto [end, error] = std::from_chars(port.begin(), port.end(), number);
  return error == std::errc() && end == port.end() && number > 0 && number <= 65535;
}

// A control character would travel in the HTTP/2 header as it is.
bool IsHeaderText(std::string_view text) {
  for (char c : text) {
    if (c < ' ' || c > '~') return false;
  }
  return true;
}

bool IsSet(const Tls& tls) {
  return !tls.root_certificates.empty() || !tls.server_name.empty() || !tls.certificate.empty() ||
         !tls.private_key.empty();
}

absl::Status Check(const ClientOptions& options) {
  if (!IsAddress(options.address)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "address: expected HOST:PORT, tls:HOST:PORT or unix:PATH, found ", options.address));
  }
  if (IsSet(options.tls) && !options.address.starts_with(kTls)) {
    return absl::InvalidArgumentError(
        absl::StrCat("address: expected tls:HOST:PORT, found ", options.address));
  }
  if (!IsHeaderText(options.key)) {
    return absl::InvalidArgumentError("key: expected printable ASCII");
  }
  return absl::OkStatus();
}

std::shared_ptr<grpc::Channel> MakeChannel(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);  // prompts go to the daemon alone
  arguments.SetMaxReceiveMessageSize(kMostResponseBytes);
  if (!options.address.starts_with(kTls)) {
    return grpc::CreateCustomChannel(options.address, grpc::InsecureChannelCredentials(),
                                     arguments);
  }
  if (!options.tls.server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls.server_name);
  }
  const grpc::SslCredentialsOptions tls{options.tls.root_certificates, options.tls.private_key,
                                        options.tls.certificate};
  return grpc::CreateCustomChannel(options.address.substr(kTls.size()), grpc::SslCredentials(tls),
                                   arguments);
}

template <typename Stub, typename Request, typename Response>
absl::StatusOr<Response> Unary(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                            Response*),
                               Stub& stub, const Request& request, const std::string& authorization,
                               const CallOptions& options) {
  Call call(authorization, options);
  Response response;
  const grpc::Status status = (stub.*method)(&call.context(), request, &response);
  if (!status.ok()) return ToStatus(status);
  return response;
}

}  // namespace

struct Client::Connection {
  using InferenceStub = v1::Inference::Stub;
  using ControlStub = v1::Control::Stub;

  std::unique_ptr<InferenceStub> inference;
  std::unique_ptr<ControlStub> control;
  std::string authorization;

  template <typename Request, typename Response>
  absl::StatusOr<Response> Infer(grpc::Status (InferenceStub::*method)(grpc::ClientContext*,
                                                                       const Request&, Response*),
                                 const Request& request, const CallOptions& options) const {
    return Unary(method, *inference, request, authorization, options);
  }
  template <typename Request, typename Response>
  absl::StatusOr<Response> Manage(grpc::Status (ControlStub::*method)(grpc::ClientContext*,
                                                                      const Request&, Response*),
                                  const Request& request, const CallOptions& options) const {
    return Unary(method, *control, request, authorization, options);
  }
};

absl::StatusOr<Client> Client::Create(const ClientOptions& options) {
  const absl::Status valid = Check(options);
  if (!valid.ok()) return valid;
  const std::shared_ptr<grpc::Channel> channel = MakeChannel(options);
  auto connection = std::make_unique<Connection>();
  connection->inference = v1::Inference::NewStub(channel);
  connection->control = v1::Control::NewStub(channel);
  if (!options.key.empty()) connection->authorization = "Bearer " + options.key;
  return Client(std::move(connection));
}

Client::Client(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
Client::~Client() = default;
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;

GenerationStream Client::Chat(const v1::ChatRequest& request, const CallOptions& options) const {
  return GenerationStream(std::make_unique<StreamCall<v1::GenerateEvent>>(
      connection_->authorization, options, [&](grpc::ClientContext* context) {
        return connection_->inference->Chat(context, request);
      }));
}

GenerationStream Client::Generate(const v1::GenerateRequest& request,
                                  const CallOptions& options) const {
  return GenerationStream(std::make_unique<StreamCall<v1::GenerateEvent>>(
      connection_->authorization, options, [&](grpc::ClientContext* context) {
        return connection_->inference->Generate(context, request);
      }));
}

absl::StatusOr<v1::TokenizeResponse> Client::Tokenize(const v1::TokenizeRequest& request,
                                                      const CallOptions& options) const {
  return connection_->Infer(&v1::Inference::Stub::Tokenize, request, options);
}

absl::StatusOr<v1::DetokenizeResponse> Client::Detokenize(const v1::DetokenizeRequest& request,
                                                          const CallOptions& options) const {
  return connection_->Infer(&v1::Inference::Stub::Detokenize, request, options);
}

absl::StatusOr<v1::RenderChatResponse> Client::RenderChat(const v1::RenderChatRequest& request,
                                                          const CallOptions& options) const {
  return connection_->Infer(&v1::Inference::Stub::RenderChat, request, options);
}

absl::StatusOr<v1::EmbedResponse> Client::Embed(const v1::EmbedRequest& request,
                                                const CallOptions& options) const {
  return connection_->Infer(&v1::Inference::Stub::Embed, request, options);
}

absl::StatusOr<v1::ScoreResponse> Client::Score(const v1::ScoreRequest& request,
                                                const CallOptions& options) const {
  return connection_->Infer(&v1::Inference::Stub::Score, request, options);
}

absl::StatusOr<v1::EstimateResponse> Client::Estimate(const v1::EstimateRequest& request,
                                                      const CallOptions& options) const {
  return connection_->Infer(&v1::Inference::Stub::Estimate, request, options);
}

absl::StatusOr<v1::CancelResponse> Client::Cancel(const v1::CancelRequest& request,
                                                  const CallOptions& options) const {
  return connection_->Infer(&v1::Inference::Stub::Cancel, request, options);
}

absl::StatusOr<v1::GetModelResponse> Client::GetModel(const CallOptions& options) const {
  return connection_->Manage(&v1::Control::Stub::GetModel, v1::GetModelRequest(), options);
}

absl::StatusOr<v1::GetLoadResponse> Client::GetLoad(const CallOptions& options) const {
  return connection_->Manage(&v1::Control::Stub::GetLoad, v1::GetLoadRequest(), options);
}

LoadStream Client::WatchLoad(const v1::WatchLoadRequest& request,
                             const CallOptions& options) const {
  return LoadStream(std::make_unique<StreamCall<v1::GetLoadResponse>>(
      connection_->authorization, options, [&](grpc::ClientContext* context) {
        return connection_->control->WatchLoad(context, request);
      }));
}

absl::StatusOr<v1::DrainResponse> Client::Drain(const CallOptions& options) const {
  return connection_->Manage(&v1::Control::Stub::Drain, v1::DrainRequest(), options);
}

absl::Status Client::FlushCache(const CallOptions& options) const {
  return connection_->Manage(&v1::Control::Stub::FlushCache, v1::FlushCacheRequest(), options)
      .status();
}

absl::StatusOr<v1::PinPrefixResponse> Client::PinPrefix(const v1::PinPrefixRequest& request,
                                                        const CallOptions& options) const {
  return connection_->Manage(&v1::Control::Stub::PinPrefix, request, options);
}

absl::Status Client::UnpinPrefix(const v1::UnpinPrefixRequest& request,
                                 const CallOptions& options) const {
  return connection_->Manage(&v1::Control::Stub::UnpinPrefix, request, options).status();
}

}  // namespace hearth
