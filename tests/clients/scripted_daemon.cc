#include "tests/clients/scripted_daemon.h"

#include <grpcpp/server_builder.h>

#include <chrono>
#include <thread>
#include <utility>

namespace hearth::testing {

ScriptedDaemon::ScriptedDaemon(Script script, const std::string& address,
                               const std::shared_ptr<grpc::ServerCredentials>& credentials)
    : script_(std::move(script)), address_(address) {
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(address, credentials, &port);
  builder.RegisterService(static_cast<v1::Inference::Service*>(this));
  builder.RegisterService(static_cast<v1::Control::Service*>(this));
  server_ = builder.BuildAndStart();
  if (address.ends_with(":0"))
    address_ = address.substr(0, address.size() - 1) + std::to_string(port);
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

void ScriptedDaemon::Note(const grpc::ServerContext& context,
                          const google::protobuf::Message& request) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto it = context.client_metadata().find("authorization");
  authorization_ = it == context.client_metadata().end()
                       ? ""
                       : std::string(it->second.data(), it->second.size());
  requests_[request.GetDescriptor()->full_name()] = request.SerializeAsString();
}

grpc::Status ScriptedDaemon::Hang(grpc::ServerContext* context) {
  while (!context->IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::lock_guard<std::mutex> lock(mutex_);
  ++cancelled_;
  return grpc::Status::CANCELLED;
}

grpc::Status ScriptedDaemon::Play(grpc::ServerContext* context, bool calls_tools,
                                  grpc::ServerWriter<v1::GenerateEvent>* writer) {
  v1::GenerateEvent event;
  event.mutable_accepted()->set_id("feedbeef");
  writer->Write(event);
  if (calls_tools) {
    for (const v1::ToolCallDelta& call : script_.tool_calls) {
      *event.mutable_tool_call() = call;
      writer->Write(event);
    }
  } else {
    for (const std::string& text : script_.deltas) {
      event.mutable_delta()->set_text(text);
      event.mutable_delta()->clear_tokens();
      event.mutable_delta()->add_tokens(7);
      writer->Write(event);
    }
  }
  if (script_.hang) return Hang(context);
  if (!script_.end.ok()) return script_.end;
  event.mutable_finish()->set_reason(calls_tools ? v1::FINISH_REASON_TOOL_CALLS
                                                 : v1::FINISH_REASON_STOP);
  writer->Write(event);
  event.mutable_usage()->set_prompt_tokens(5);
  event.mutable_usage()->set_completion_tokens(static_cast<int>(script_.deltas.size()));
  writer->Write(event);
  return grpc::Status::OK;
}

grpc::Status ScriptedDaemon::Chat(grpc::ServerContext* context, const v1::ChatRequest* request,
                                  grpc::ServerWriter<v1::GenerateEvent>* writer) {
  Note(*context, *request);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    chats_.push_back(*request);
  }
  const bool answered =
      !request->messages().empty() && request->messages().rbegin()->role() == v1::ROLE_TOOL;
  return Play(context, !script_.tool_calls.empty() && !answered, writer);
}

grpc::Status ScriptedDaemon::Generate(grpc::ServerContext* context,
                                      const v1::GenerateRequest* request,
                                      grpc::ServerWriter<v1::GenerateEvent>* writer) {
  Note(*context, *request);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    generates_.push_back(*request);
  }
  return Play(context, false, writer);
}

// A token is a byte.
grpc::Status ScriptedDaemon::Tokenize(grpc::ServerContext* context,
                                      const v1::TokenizeRequest* request,
                                      v1::TokenizeResponse* response) {
  Note(*context, *request);
  for (const char c : request->text()) response->add_ids(static_cast<unsigned char>(c));
  return script_.end;
}

grpc::Status ScriptedDaemon::Detokenize(grpc::ServerContext* context,
                                        const v1::DetokenizeRequest* request,
                                        v1::DetokenizeResponse* response) {
  Note(*context, *request);
  for (const int32_t id : request->ids())
    response->mutable_text()->push_back(static_cast<char>(id));
  return script_.end;
}

grpc::Status ScriptedDaemon::RenderChat(grpc::ServerContext* context,
                                        const v1::RenderChatRequest* request,
                                        v1::RenderChatResponse* response) {
  Note(*context, *request);
  for (const v1::Message& message : request->chat().messages()) {
    response->mutable_text()->append(message.content());
  }
  for (const char c : response->text()) response->add_ids(static_cast<unsigned char>(c));
  return script_.end;
}

// Vectors of the length and half the length of each text.
grpc::Status ScriptedDaemon::Embed(grpc::ServerContext* context, const v1::EmbedRequest* request,
                                   v1::EmbedResponse* response) {
  Note(*context, *request);
  for (const v1::EmbedRequest::Input& input : request->inputs()) {
    const auto size = static_cast<float>(input.text().size());
    v1::EmbedResponse::Embedding& embedding = *response->add_embeddings();
    embedding.add_values(size);
    embedding.add_values(size / 2);
    response->set_prompt_tokens(response->prompt_tokens() + static_cast<int>(size));
  }
  return script_.end;
}

// A candidate is less likely the longer it is.
grpc::Status ScriptedDaemon::Score(grpc::ServerContext* context, const v1::ScoreRequest* request,
                                   v1::ScoreResponse* response) {
  Note(*context, *request);
  for (const std::string& candidate : request->candidates()) {
    response->add_candidates()->set_logprob(-static_cast<double>(candidate.size()));
  }
  response->set_prefix_tokens(9);
  return script_.end;
}

grpc::Status ScriptedDaemon::Estimate(grpc::ServerContext* context,
                                      const v1::EstimateRequest* request,
                                      v1::EstimateResponse* response) {
  Note(*context, *request);
  response->set_prompt_tokens(120);
  response->set_cached_tokens(96);
  response->set_max_tokens(1024);
  response->set_queue_position(3);
  response->set_first_token_ms(400);
  response->set_total_ms(12'500);
  return script_.end;
}

grpc::Status ScriptedDaemon::Cancel(grpc::ServerContext* context, const v1::CancelRequest* request,
                                    v1::CancelResponse* response) {
  Note(*context, *request);
  response->set_found(request->id() == "feedbeef");
  return script_.end;
}

grpc::Status ScriptedDaemon::GetModel(grpc::ServerContext* context,
                                      const v1::GetModelRequest* request,
                                      v1::GetModelResponse* response) {
  Note(*context, *request);
  response->set_id("phi-4-mini");
  response->set_architecture("phi3");
  response->set_parameters(3'836'000'000);
  response->set_max_context(8192);
  return script_.end;
}

grpc::Status ScriptedDaemon::GetLoad(grpc::ServerContext* context,
                                     const v1::GetLoadRequest* request,
                                     v1::GetLoadResponse* response) {
  Note(*context, *request);
  *response = NextLoad();
  return script_.end;
}

v1::GetLoadResponse ScriptedDaemon::NextLoad() {
  std::lock_guard<std::mutex> lock(mutex_);
  v1::GetLoadResponse load;
  load.set_running(3);
  load.set_max_running(16);
  load.set_max_queued(64);
  load.set_kv_blocks_total(256);
  load.set_kv_blocks_used(64);
  load.set_generated_tokens(generated_ += 10);
  return load;
}

// Three loads, then as the script ends.
grpc::Status ScriptedDaemon::WatchLoad(grpc::ServerContext* context,
                                       const v1::WatchLoadRequest* request,
                                       grpc::ServerWriter<v1::GetLoadResponse>* writer) {
  Note(*context, *request);
  for (int i = 0; i < 3; ++i) {
    writer->Write(NextLoad());
    std::this_thread::sleep_for(std::chrono::milliseconds(request->interval_ms()));
  }
  return script_.hang ? Hang(context) : script_.end;
}

grpc::Status ScriptedDaemon::Drain(grpc::ServerContext* context, const v1::DrainRequest* request,
                                   v1::DrainResponse* response) {
  Note(*context, *request);
  response->set_under_way(2);
  return script_.end;
}

grpc::Status ScriptedDaemon::FlushCache(grpc::ServerContext* context,
                                        const v1::FlushCacheRequest* request,
                                        v1::FlushCacheResponse*) {
  Note(*context, *request);
  return script_.end;
}

grpc::Status ScriptedDaemon::PinPrefix(grpc::ServerContext* context,
                                       const v1::PinPrefixRequest* request,
                                       v1::PinPrefixResponse* response) {
  Note(*context, *request);
  response->set_tokens(64);
  return script_.end;
}

grpc::Status ScriptedDaemon::UnpinPrefix(grpc::ServerContext* context,
                                         const v1::UnpinPrefixRequest* request,
                                         v1::UnpinPrefixResponse*) {
  Note(*context, *request);
  return script_.end;
}

}  // namespace hearth::testing
