// Asks the daemon at argv[1] a question and prints the reply as it comes.
#include <hearth/client.h>

#include <iostream>

int main(int argc, char** argv) {
  if (argc != 3) return 64;
  const absl::StatusOr<hearth::Client> client = hearth::Client::Create({.address = argv[1]});
  if (!client.ok()) return 64;
  hearth::v1::ChatRequest request;
  *request.add_messages() = hearth::UserMessage(argv[2]);
  request.mutable_options()->mutable_sampling()->set_temperature(0);
  hearth::GenerationStream stream = client->Chat(request);
  for (const hearth::v1::GenerateEvent& event : stream) std::cout << event.delta().text();
  if (stream.status().ok()) return 0;
  std::cerr << stream.status() << '\n';
  return 1;
}
