// A daemon with a small random model, behind a real gRPC server on a free port.
#ifndef HEARTH_TESTS_SERVER_GRPC_SERVED_DAEMON_H_
#define HEARTH_TESTS_SERVER_GRPC_SERVED_DAEMON_H_

#include <grpcpp/channel.h>
#include <grpcpp/security/credentials.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "hearth/v1/inference.grpc.pb.h"
#include "server/daemon.h"
#include "server/grpc/grpc_server.h"
#include "tests/server/certificates.h"

namespace hearth::server {

struct Serving {
  v1::Config config = {};          // defaults are filled in; the model's is the random one
  std::string keys = {};           // lines of the key file; empty: no authentication
  std::string admin_keys = {};     // likewise; empty: no such file
  std::string host = "127.0.0.1";  // of the free port
  std::string unix_path = {};      // listens there instead of on a free port
  bool load = true;                // false: stays in the loading phase
  const Certificate* certificate = nullptr;  // when set, the free port speaks TLS
  const Certificate* client_ca = nullptr;    // when set, clients show what it has issued
  std::function<void()> on_stop = [] {};     // the daemon's
};

class ServedDaemon {
 public:
  explicit ServedDaemon(Serving serving = {});
  ~ServedDaemon();

  // Ends the loading phase.
  void Load();

  Daemon& daemon() { return *daemon_; }
  GrpcServer& server() { return *server_; }
  const std::string& address() const { return address_; }  // as a gRPC target
  int port() const { return server_->listeners()[0].port(); }

  // Each over a connection of its own.
  std::shared_ptr<grpc::Channel> NewChannel() const;
  std::shared_ptr<grpc::Channel> NewChannel(
      const std::shared_ptr<grpc::ChannelCredentials>& credentials) const;
  std::unique_ptr<v1::Inference::Stub> Inference() const;
  std::unique_ptr<v1::Control::Stub> Control() const;

  // Waits until no session lives and no KV block is in use; false after five seconds.
  bool AwaitIdle();

 private:
  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<GrpcServer> server_;
  std::string address_;
  std::shared_ptr<grpc::ChannelCredentials> credentials_ = grpc::InsecureChannelCredentials();
};

// Of clients that trust this server's certificate, and show their own.
std::shared_ptr<grpc::ChannelCredentials> Trusting(const Certificate& server,
                                                   const Certificate* own = nullptr);

// Waits until `condition` holds; false after five seconds.
bool Eventually(const std::function<bool()>& condition);

// Threads of this process.
int ThreadCount();
// Resident bytes of this process; 0 under sanitizers, whose own memory would be measured.
int64_t ResidentBytes();

struct Stream {
  std::vector<v1::GenerateEvent> events;
  grpc::Status status;
  std::string text() const;
  std::vector<int32_t> tokens() const;
};
Stream ReadAll(std::unique_ptr<grpc::ClientReader<v1::GenerateEvent>> reader);

// The field that the BadRequest among an error's details names; empty where there is none.
std::string RefusedField(const grpc::Status& status);

// A request that would go on for `max_tokens`.
v1::GenerateRequest LongRequest(int max_tokens, int n = 1);

}  // namespace hearth::server

#endif  // HEARTH_TESTS_SERVER_GRPC_SERVED_DAEMON_H_
