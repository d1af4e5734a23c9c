#include "server/grpc/reflection.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <set>
#include <string_view>

#include "grpc/health/v1/health.pb.h"
#include "grpc/reflection/v1/reflection.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "server/grpc/rpc_status.h"

namespace hearth::server {
namespace {

using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;

constexpr std::string_view kServices[] = {
    "hearth.v1.Inference",
    "hearth.v1.Control",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
};

// `file` after all it imports.
template <typename Response>
void AddFile(const FileDescriptor& file, std::set<const FileDescriptor*>& seen,
             Response& response) {
  if (!seen.insert(&file).second) return;
  for (int i = 0; i < file.dependency_count(); ++i) AddFile(*file.dependency(i), seen, response);
  google::protobuf::FileDescriptorProto proto;
  file.CopyTo(&proto);
  response.add_file_descriptor_proto(proto.SerializeAsString());
}

template <typename Response>
void SetError(grpc::StatusCode code, const char* message, Response& response) {
  response.mutable_error_response()->set_error_code(code);
  response.mutable_error_response()->set_error_message(message);
}

template <typename Response>
void SetFile(const FileDescriptor* file, Response& response) {
  if (file == nullptr) return SetError(grpc::StatusCode::NOT_FOUND, "not found", response);
  std::set<const FileDescriptor*> seen;
  AddFile(*file, seen, *response.mutable_file_descriptor_response());
}

template <typename Request, typename Response>
void Answer(const Request& request, Response& response) {
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  response.set_valid_host(request.host());
  *response.mutable_original_request() = request;
  switch (request.message_request_case()) {
    case Request::kFileByFilename:
      return SetFile(pool.FindFileByName(request.file_by_filename()), response);
    case Request::kFileContainingSymbol:
      return SetFile(pool.FindFileContainingSymbol(request.file_containing_symbol()), response);
    case Request::kFileContainingExtension:  // proto3 has none
    case Request::kAllExtensionNumbersOfType:
      return SetError(grpc::StatusCode::NOT_FOUND, "not found", response);
    case Request::kListServices:
      for (std::string_view name : kServices) {
        response.mutable_list_services_response()->add_service()->set_name(std::string(name));
      }
      return;
    case Request::MESSAGE_REQUEST_NOT_SET:
      return SetError(grpc::StatusCode::INVALID_ARGUMENT, "message_request: must be set", response);
  }
}

// Read, answer, read again: one message in memory, no thread held.
template <typename Request, typename Response>
class ReflectionStream final : public grpc::ServerBidiReactor<Request, Response> {
 public:
  explicit ReflectionStream(const absl::Status& admitted) {
    if (admitted.ok()) {
      this->StartRead(&request_);
    } else {
      this->Finish(ToGrpcStatus(admitted));
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) return this->Finish(grpc::Status::OK);
    response_.Clear();
    Answer(request_, response_);
    this->StartWrite(&response_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return this->Finish(grpc::Status::CANCELLED);
    this->StartRead(&request_);
  }
  void OnDone() override { delete this; }

 private:
  Request request_;
  Response response_;
};

template <typename Service, typename Request, typename Response>
class Reflection final : public Service::CallbackService {
 public:
  explicit Reflection(CallGate& gate) : gate_(gate) {}

  grpc::ServerBidiReactor<Request, Response>* ServerReflectionInfo(
      grpc::CallbackServerContext* context) override {
    return new ReflectionStream<Request, Response>(gate_.Admit(*context).status());
  }

 private:
  CallGate& gate_;
};

namespace v1 = grpc::reflection::v1;
namespace v1alpha = grpc::reflection::v1alpha;

}  // namespace

std::vector<std::unique_ptr<grpc::Service>> MakeReflectionServices(CallGate& gate) {
  // Static libraries keep only what is referred to; health's description is needed by its name.
  grpc::health::v1::HealthCheckRequest::default_instance();
  std::vector<std::unique_ptr<grpc::Service>> services;
  services.push_back(std::make_unique<Reflection<v1::ServerReflection, v1::ServerReflectionRequest,
                                                 v1::ServerReflectionResponse>>(gate));
  services.push_back(
      std::make_unique<Reflection<v1alpha::ServerReflection, v1alpha::ServerReflectionRequest,
                                  v1alpha::ServerReflectionResponse>>(gate));
  return services;
}

}  // namespace hearth::server
