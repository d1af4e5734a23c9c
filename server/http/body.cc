#include "server/http/body.h"

namespace hearth::server {

bool BodyBudget::Take(const std::string& client, uint64_t bytes) {
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = taken_by_.find(client);
  const uint64_t mine = (found == taken_by_.end() ? 0 : found->second) + bytes;
  if (taken_ + bytes > limit_ || mine > limit_ / 2) return false;
  taken_ += bytes;
  if (mine > 0) taken_by_[client] = mine;
  return true;
}

void BodyBudget::Give(const std::string& client, uint64_t bytes) {
  std::lock_guard<std::mutex> lock(mutex_);
  taken_ -= bytes;
  const auto found = taken_by_.find(client);
  if ((found->second -= bytes) == 0) taken_by_.erase(found);
}

Body& Body::operator=(Body&& other) noexcept {
  if (this == &other) return *this;
  Clear();
  budget_ = other.budget_;
  client_ = std::move(other.client_);
  text_ = std::move(other.text_);
  counted_ = std::exchange(other.counted_, 0);
  return *this;
}

bool Body::Count() {
  if (!budget_->Take(client_, text_.size() - counted_)) return false;
  counted_ = text_.size();
  return true;
}

void Body::Clear() {
  std::string().swap(text_);
  if (counted_ > 0) budget_->Give(client_, std::exchange(counted_, 0));
}

}  // namespace hearth::server
