// What a streaming call sends, one event after the other.
#ifndef HEARTH_CLIENTS_CPP_HEARTH_STREAM_H_
#define HEARTH_CLIENTS_CPP_HEARTH_STREAM_H_

#include <absl/status/status.h>

#include <iterator>
#include <memory>

#include "hearth/v1/inference.pb.h"

namespace hearth {

template <typename Event>
class StreamCall;

// An input range:
//
//   for (const v1::GenerateEvent& event : stream) Show(event);
//   if (!stream.status().ok()) …
//
// Destroying a stream before its end cancels the call, which frees what it held in the daemon.
// For one thread at a time; Cancel() may be called from any.
template <typename Event>
class Stream {
 public:
  class Iterator;

  explicit Stream(std::unique_ptr<StreamCall<Event>> call);  // by Client
  ~Stream();
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;

  // Waits for the next event, which lives until the next call; null at the end.
  const Event* Next();
  // How the stream ended; OK before its end.
  const absl::Status& status() const;
  // Ends the call: Next() soon returns null, and status() is Cancelled.
  void Cancel();

  Iterator begin() { return Iterator(this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  std::unique_ptr<StreamCall<Event>> call_;
};

template <typename Event>
class Stream<Event>::Iterator {
 public:
  using value_type = Event;
  using difference_type = std::ptrdiff_t;

  explicit Iterator(Stream* stream) : stream_(stream), event_(stream->Next()) {}
  const Event& operator*() const { return *event_; }
  const Event* operator->() const { return event_; }
  Iterator& operator++() {
    event_ = stream_->Next();
    return *this;
  }
  void operator++(int) { ++*this; }
  friend bool operator==(const Iterator& it, std::default_sentinel_t) {
    return it.event_ == nullptr;
  }

 private:
  Stream* stream_;
  const Event* event_;
};

using GenerationStream = Stream<v1::GenerateEvent>;
using LoadStream = Stream<v1::GetLoadResponse>;

}  // namespace hearth

#endif  // HEARTH_CLIENTS_CPP_HEARTH_STREAM_H_
