#include "tests/clients/scripted_daemon.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <thread>
#include <utility>

namespace hearth::testing {

ScriptedDaemon::ScriptedDaemon(Script script) : script_(std::move(script)) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(static_cast<v1::Inference::Service*>(this));
  builder.RegisterService(static_cast<v1::Control::Service*>(this));
  server_ = builder.BuildAndStart();
  address_ = "127.0.0.1:" + std::to_string(port);
}

ScriptedDaemon::~ScriptedDaemon() { server_->Shutdown(std::chrono::system_clock::now()); }

std::vector<v1::ChatRequest> ScriptedDaemon::chats() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return chats_;
}

std::vector<v1::GenerateRequest> ScriptedDaemon::generates() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return generates_;
}

std::string ScriptedDaemon::authorization() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return authorization_;
}

int ScriptedDaemon::cancelled() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return cancelled_;
}

void ScriptedDaemon::Note(const grpc::ServerContext& context) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto it = context.client_metadata().find("authorization");
  authorization_ = it == context.client_metadata().end()
                       ? ""
                       : std::string(it->second.data(), it->second.size());
}

grpc::Status ScriptedDaemon::Play(grpc::ServerContext* context,
                                  grpc::ServerWriter<v1::GenerateEvent>* writer) {
  v1::GenerateEvent event;
  event.mutable_accepted()->set_id("feedbeef");
  writer->Write(event);
  for (const std::string& text : script_.deltas) {
    event.mutable_delta()->set_text(text);
    event.mutable_delta()->clear_tokens();
    event.mutable_delta()->add_tokens(7);
    writer->Write(event);
  }
  if (script_.hang) {
    while (!context->IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::lock_guard<std::mutex> lock(mutex_);
    ++cancelled_;
    return grpc::Status::CANCELLED;
  }
  if (!script_.end.ok()) return script_.end;
  event.mutable_finish()->set_reason(v1::FINISH_REASON_STOP);
  writer->Write(event);
  event.mutable_usage()->set_prompt_tokens(5);
  event.mutable_usage()->set_completion_tokens(static_cast<int>(script_.deltas.size()));
  writer->Write(event);
  return grpc::Status::OK;
}

grpc::Status ScriptedDaemon::Chat(grpc::ServerContext* context, const v1::ChatRequest* request,
                                  grpc::ServerWriter<v1::GenerateEvent>* writer) {
  Note(*context);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    chats_.push_back(*request);
  }
  return Play(context, writer);
}

grpc::Status ScriptedDaemon::Generate(grpc::ServerContext* context,
                                      const v1::GenerateRequest* request,
                                      grpc::ServerWriter<v1::GenerateEvent>* writer) {
  Note(*context);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    generates_.push_back(*request);
  }
  return Play(context, writer);
}

grpc::Status ScriptedDaemon::GetModel(grpc::ServerContext* context, const v1::GetModelRequest*,
                                      v1::GetModelResponse* response) {
  Note(*context);
  response->set_id("phi-4-mini");
  response->set_architecture("phi3");
  response->set_parameters(3'836'000'000);
  response->set_max_context(8192);
  return script_.end;
}

grpc::Status ScriptedDaemon::GetLoad(grpc::ServerContext* context, const v1::GetLoadRequest*,
                                     v1::GetLoadResponse* response) {
  Note(*context);
  std::lock_guard<std::mutex> lock(mutex_);
  response->set_running(3);
  response->set_max_running(16);
  response->set_kv_blocks_total(256);
  response->set_kv_blocks_used(64);
  response->set_generated_tokens(generated_ += 10);
  return script_.end;
}

}  // namespace hearth::testing
