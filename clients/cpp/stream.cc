#include "hearth/stream.h"

#include <utility>

#include "clients/cpp/stream_call.h"

namespace hearth {

template <typename Event>
Stream<Event>::Stream(std::unique_ptr<StreamCall<Event>> call) : call_(std::move(call)) {}
template <typename Event>
Stream<Event>::~Stream() = default;
template <typename Event>
Stream<Event>::Stream(Stream&&) noexcept = default;
template <typename Event>
Stream<Event>& Stream<Event>::operator=(Stream&&) noexcept = default;

template <typename Event>
const Event* Stream<Event>::Next() {
  return call_->Next();
}

template <typename Event>
const absl::Status& Stream<Event>::status() const {
  return call_->status();
}

template <typename Event>
void Stream<Event>::Cancel() {
  call_->Cancel();
}

template class Stream<v1::GenerateEvent>;
template class Stream<v1::GetLoadResponse>;

}  // namespace hearth
