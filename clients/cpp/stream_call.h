// The gRPC side of a Stream.
#ifndef HEARTH_CLIENTS_CPP_STREAM_CALL_H_
#define HEARTH_CLIENTS_CPP_STREAM_CALL_H_

#include <absl/status/status.h>
#include <grpcpp/support/sync_stream.h>

#include <functional>
#include <memory>
#include <string>

#include "clients/cpp/call.h"
#include "hearth/v1/inference.grpc.pb.h"

namespace hearth {

template <typename Event>
class StreamCall {
 public:
  using Reader = std::unique_ptr<grpc::ClientReader<Event>>;

  StreamCall(const std::string& authorization, const CallOptions& options,
             const std::function<Reader(grpc::ClientContext*)>& start)
      : call_(authorization, options), reader_(start(&call_.context())) {}
  ~StreamCall() {
    if (ended_) return;
    Cancel();
    reader_->Finish();
  }

  const Event* Next() {
    if (!ended_ && reader_->Read(&event_)) return &event_;
    if (!ended_) status_ = ToStatus(reader_->Finish());
    ended_ = true;
    return nullptr;
  }
  const absl::Status& status() const { return status_; }
  void Cancel() { call_.context().TryCancel(); }

 private:
  Call call_;
  Reader reader_;
  Event event_;
  bool ended_ = false;
  absl::Status status_;
};

}  // namespace hearth

#endif  // HEARTH_CLIENTS_CPP_STREAM_CALL_H_
