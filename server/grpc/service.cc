#include "server/grpc/service.h"

#include "hearth/v1/inference.grpc.pb.h"
#include "server/grpc/methods.h"

namespace hearth::server {
namespace {

using Bytes = grpc::ByteBuffer;
using Context = grpc::CallbackServerContext;
using v1::Control;
using v1::Inference;

// The generated services, with every method taking and giving bytes.
using InferenceBytes =
    Inference::WithRawCallbackMethod_Chat<Inference::WithRawCallbackMethod_Generate<
        Inference::WithRawCallbackMethod_Tokenize<Inference::WithRawCallbackMethod_Detokenize<
            Inference::WithRawCallbackMethod_RenderChat<Inference::WithRawCallbackMethod_Embed<
                Inference::WithRawCallbackMethod_Score<Inference::WithRawCallbackMethod_Estimate<
                    Inference::WithRawCallbackMethod_Cancel<Inference::Service>>>>>>>>>;
using ControlBytes = Control::WithRawCallbackMethod_GetModel<Control::WithRawCallbackMethod_GetLoad<
    Control::WithRawCallbackMethod_WatchLoad<Control::WithRawCallbackMethod_Drain<
        Control::WithRawCallbackMethod_FlushCache<Control::WithRawCallbackMethod_PinPrefix<
            Control::WithRawCallbackMethod_UnpinPrefix<Control::Service>>>>>>>;

class InferenceService final : public InferenceBytes {
 public:
  explicit InferenceService(CallGate& gate) : gate_(gate) {}

  WriteReactor* Chat(Context* context, const Bytes* request) override {
    return gate_.Stream(context, "Inference/Chat", rpc::Chat, *request);
  }
  WriteReactor* Generate(Context* context, const Bytes* request) override {
    return gate_.Stream(context, "Inference/Generate", rpc::Generate, *request);
  }
  grpc::ServerUnaryReactor* Tokenize(Context* context, const Bytes* request,
                                     Bytes* reply) override {
    return gate_.Unary(context, "Inference/Tokenize", rpc::Tokenize, *request, *reply);
  }
  grpc::ServerUnaryReactor* Detokenize(Context* context, const Bytes* request,
                                       Bytes* reply) override {
    return gate_.Unary(context, "Inference/Detokenize", rpc::Detokenize, *request, *reply);
  }
  grpc::ServerUnaryReactor* RenderChat(Context* context, const Bytes* request,
                                       Bytes* reply) override {
    return gate_.Unary(context, "Inference/RenderChat", rpc::RenderChat, *request, *reply);
  }
  grpc::ServerUnaryReactor* Embed(Context* context, const Bytes* request, Bytes* reply) override {
    return gate_.Compute(context, "Inference/Embed", rpc::Embed, *request, *reply);
  }
  grpc::ServerUnaryReactor* Score(Context* context, const Bytes* request, Bytes* reply) override {
    return gate_.Compute(context, "Inference/Score", rpc::Score, *request, *reply);
  }
  grpc::ServerUnaryReactor* Estimate(Context* context, const Bytes* request,
                                     Bytes* reply) override {
    return gate_.Unary(context, "Inference/Estimate", rpc::Estimate, *request, *reply);
  }
  grpc::ServerUnaryReactor* Cancel(Context* context, const Bytes* request, Bytes* reply) override {
    return gate_.Unary(context, "Inference/Cancel", rpc::Cancel, *request, *reply, Access::kLoaded);
  }

 private:
  CallGate& gate_;
};

class ControlService final : public ControlBytes {
 public:
  explicit ControlService(CallGate& gate) : gate_(gate) {}

  grpc::ServerUnaryReactor* GetModel(Context* context, const Bytes* request,
                                     Bytes* reply) override {
    return gate_.Unary(context, "Control/GetModel", rpc::GetModel, *request, *reply,
                       Access::kLoaded);
  }
  grpc::ServerUnaryReactor* GetLoad(Context* context, const Bytes* request, Bytes* reply) override {
    return gate_.Unary(context, "Control/GetLoad", rpc::GetLoad, *request, *reply, Access::kLoaded);
  }
  WriteReactor* WatchLoad(Context* context, const Bytes* request) override {
    return gate_.WatchLoad(context, *request);
  }
  grpc::ServerUnaryReactor* Drain(Context* context, const Bytes* request, Bytes* reply) override {
    return gate_.Unary(context, "Control/Drain", rpc::Drain, *request, *reply, Access::kAdmin);
  }
  grpc::ServerUnaryReactor* FlushCache(Context* context, const Bytes* request,
                                       Bytes* reply) override {
    return gate_.Unary(context, "Control/FlushCache", rpc::FlushCache, *request, *reply,
                       Access::kAdmin);
  }
  grpc::ServerUnaryReactor* PinPrefix(Context* context, const Bytes* request,
                                      Bytes* reply) override {
    return gate_.Compute(context, "Control/PinPrefix", rpc::PinPrefix, *request, *reply);
  }
  grpc::ServerUnaryReactor* UnpinPrefix(Context* context, const Bytes* request,
                                        Bytes* reply) override {
    return gate_.Unary(context, "Control/UnpinPrefix", rpc::UnpinPrefix, *request, *reply,
                       Access::kLoaded);
  }

 private:
  CallGate& gate_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeInferenceService(CallGate& gate) {
  return std::make_unique<InferenceService>(gate);
}

std::unique_ptr<grpc::Service> MakeControlService(CallGate& gate) {
  return std::make_unique<ControlService>(gate);
}

}  // namespace hearth::server
