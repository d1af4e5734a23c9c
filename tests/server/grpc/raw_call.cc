#include "tests/server/grpc/raw_call.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

namespace hearth::server {
namespace {

// Waits for the one operation that is under way.
bool Await(grpc::CompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  return queue.Next(&tag, &ok) && ok;
}

}  // namespace

grpc::Status RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                     const std::vector<std::string>& messages,
                     std::unique_ptr<grpc::ClientContext> context) {
  if (context == nullptr) context = std::make_unique<grpc::ClientContext>();
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareCall(context.get(), method, &queue);
  call->StartCall(nullptr);
  bool ok = Await(queue);
  for (const std::string& message : messages) {
    if (!ok) break;
    const grpc::Slice slice(message);
    call->Write(grpc::ByteBuffer(&slice, 1), nullptr);
    ok = Await(queue);
  }
  if (ok) {
    call->WritesDone(nullptr);
    Await(queue);
  }
  grpc::ByteBuffer reply;
  do {
    call->Read(&reply, nullptr);
  } while (Await(queue));
  grpc::Status status;
  call->Finish(&status, nullptr);
  Await(queue);
  queue.Shutdown();
  while (Await(queue)) {
  }
  return status;
}

}  // namespace hearth::server
