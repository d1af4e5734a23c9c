// A daemon that says what it is told to: hearth.v1 without an engine, for tests of clients.
#ifndef HEARTH_TESTS_CLIENTS_SCRIPTED_DAEMON_H_
#define HEARTH_TESTS_CLIENTS_SCRIPTED_DAEMON_H_

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "hearth/v1/inference.grpc.pb.h"

namespace hearth::testing {

struct Script {
  std::vector<std::string> deltas;
  bool hang = false;  // after the deltas, until the client cancels
  grpc::Status end;   // when it does not hang; of every method
  // Instead of the deltas, unless the last message is a tool's result: the calls in pieces.
  std::vector<v1::ToolCallDelta> tool_calls = {};
};

class ScriptedDaemon final : public v1::Inference::Service, public v1::Control::Service {
 public:
  // On a free port of loopback, or where `address` says.
  explicit ScriptedDaemon(Script script = {}, const std::string& address = "127.0.0.1:0",
                          const std::shared_ptr<grpc::ServerCredentials>& credentials =
                              grpc::InsecureServerCredentials());
  ~ScriptedDaemon() override;

  const std::string& address() const { return address_; }
  std::vector<v1::ChatRequest> chats() const;
  std::vector<v1::GenerateRequest> generates() const;
  std::string authorization() const;  // of the last call
  int cancelled() const;              // calls that hung

  // The last request of that kind.
  template <typename Request>
  Request last() const {
    std::lock_guard<std::mutex> lock(mutex_);
    Request request;
    const auto it = requests_.find(Request::descriptor()->full_name());
    if (it != requests_.end()) request.ParseFromString(it->second);
    return request;
  }

  grpc::Status Chat(grpc::ServerContext* context, const v1::ChatRequest* request,
                    grpc::ServerWriter<v1::GenerateEvent>* writer) override;
  grpc::Status Generate(grpc::ServerContext* context, const v1::GenerateRequest* request,
                        grpc::ServerWriter<v1::GenerateEvent>* writer) override;
  grpc::Status Tokenize(grpc::ServerContext* context, const v1::TokenizeRequest* request,
                        v1::TokenizeResponse* response) override;
  grpc::Status Detokenize(grpc::ServerContext* context, const v1::DetokenizeRequest* request,
                          v1::DetokenizeResponse* response) override;
  grpc::Status RenderChat(grpc::ServerContext* context, const v1::RenderChatRequest* request,
                          v1::RenderChatResponse* response) override;
  grpc::Status Embed(grpc::ServerContext* context, const v1::EmbedRequest* request,
                     v1::EmbedResponse* response) override;
  grpc::Status Score(grpc::ServerContext* context, const v1::ScoreRequest* request,
                     v1::ScoreResponse* response) override;
  grpc::Status Estimate(grpc::ServerContext* context, const v1::EstimateRequest* request,
                        v1::EstimateResponse* response) override;
  grpc::Status Cancel(grpc::ServerContext* context, const v1::CancelRequest* request,
                      v1::CancelResponse* response) override;
  grpc::Status GetModel(grpc::ServerContext* context, const v1::GetModelRequest* request,
                        v1::GetModelResponse* response) override;
  grpc::Status GetLoad(grpc::ServerContext* context, const v1::GetLoadRequest* request,
                       v1::GetLoadResponse* response) override;
  grpc::Status WatchLoad(grpc::ServerContext* context, const v1::WatchLoadRequest* request,
                         grpc::ServerWriter<v1::GetLoadResponse>* writer) override;
  grpc::Status Drain(grpc::ServerContext* context, const v1::DrainRequest* request,
                     v1::DrainResponse* response) override;
  grpc::Status FlushCache(grpc::ServerContext* context, const v1::FlushCacheRequest* request,
                          v1::FlushCacheResponse* response) override;
  grpc::Status PinPrefix(grpc::ServerContext* context, const v1::PinPrefixRequest* request,
                         v1::PinPrefixResponse* response) override;
  grpc::Status UnpinPrefix(grpc::ServerContext* context, const v1::UnpinPrefixRequest* request,
                           v1::UnpinPrefixResponse* response) override;

 private:
  void Note(const grpc::ServerContext& context, const google::protobuf::Message& request);
  grpc::Status Play(grpc::ServerContext* context, bool calls_tools,
                    grpc::ServerWriter<v1::GenerateEvent>* writer);
  v1::GetLoadResponse NextLoad();  // ten tokens later
  grpc::Status Hang(grpc::ServerContext* context);

  const Script script_;
  std::string address_;
  mutable std::mutex mutex_;
  std::vector<v1::ChatRequest> chats_;
  std::vector<v1::GenerateRequest> generates_;
  std::map<std::string, std::string> requests_;  // the last of each kind
  std::string authorization_;
  int cancelled_ = 0;
  uint64_t generated_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace hearth::testing

#endif  // HEARTH_TESTS_CLIENTS_SCRIPTED_DAEMON_H_
