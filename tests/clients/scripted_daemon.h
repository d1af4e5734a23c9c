// A daemon that says what it is told to: hearth.v1 without an engine, for tests of clients.
#ifndef HEARTH_TESTS_CLIENTS_SCRIPTED_DAEMON_H_
#define HEARTH_TESTS_CLIENTS_SCRIPTED_DAEMON_H_

#include <grpcpp/server.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "hearth/v1/inference.grpc.pb.h"

namespace hearth::testing {

struct Script {
  std::vector<std::string> deltas;
  bool hang = false;  // after the deltas, until the client cancels
  grpc::Status end;   // when it does not hang
};

class ScriptedDaemon final : public v1::Inference::Service, public v1::Control::Service {
 public:
  explicit ScriptedDaemon(Script script = {});
  ~ScriptedDaemon() override;

  const std::string& address() const { return address_; }
  std::vector<v1::ChatRequest> chats() const;
  std::vector<v1::GenerateRequest> generates() const;
  std::string authorization() const;  // of the last call
  int cancelled() const;              // calls that hung

  grpc::Status Chat(grpc::ServerContext* context, const v1::ChatRequest* request,
                    grpc::ServerWriter<v1::GenerateEvent>* writer) override;
  grpc::Status Generate(grpc::ServerContext* context, const v1::GenerateRequest* request,
                        grpc::ServerWriter<v1::GenerateEvent>* writer) override;
  grpc::Status GetModel(grpc::ServerContext* context, const v1::GetModelRequest* request,
                        v1::GetModelResponse* response) override;
  grpc::Status GetLoad(grpc::ServerContext* context, const v1::GetLoadRequest* request,
                       v1::GetLoadResponse* response) override;

 private:
  void Note(const grpc::ServerContext& context);
  grpc::Status Play(grpc::ServerContext* context, grpc::ServerWriter<v1::GenerateEvent>* writer);

  const Script script_;
  std::string address_;
  mutable std::mutex mutex_;
  std::vector<v1::ChatRequest> chats_;
  std::vector<v1::GenerateRequest> generates_;
  std::string authorization_;
  int cancelled_ = 0;
  uint64_t generated_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace hearth::testing

#endif  // HEARTH_TESTS_CLIENTS_SCRIPTED_DAEMON_H_
