"""Listeners: Unix sockets, several at once, addresses in use, keys."""

import http.client
import json
import os
import socket
import stat

import grpc

from daemon import TINY, Daemon, TestCase, pb, rpc, run


def get(path, target="/health", headers=None):
    """(status, body) of a GET over a Unix socket."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(30)
    connection.sock.connect(str(path))
    connection.request("GET", target, headers=headers or {})
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, body


class Sockets(TestCase):

    def unix(self, name):
        return f"unix:{self.folder / name}"

    def test_unix_sockets(self):
        with Daemon("--http", self.unix("h"), "--grpc", self.unix("g"), listeners=False) as daemon:
            self.assertEqual(daemon.http, [self.unix("h")])
            self.assertEqual(daemon.grpc, [self.unix("g")])
            mode = stat.S_IMODE(os.stat(self.folder / "h").st_mode)
            self.assertEqual(mode, 0o660)
            self.assertEqual(get(self.folder / "h")[0], 200)
            self.assertTrue(daemon.generate("", max_tokens=2))
            curl = next(line for line in daemon.out if line.startswith("Try: "))
            self.assertIn("--unix-socket", curl)
        self.assertEqual(os.listdir(self.folder), [])

    def test_several_listeners(self):
        with Daemon("--http", "127.0.0.1:0", "--http", self.unix("h"), "--http", "127.0.0.1:0",
                    "--grpc", "127.0.0.1:0", "--grpc", self.unix("g"),
                    listeners=False) as daemon:
            self.assertEqual(len(daemon.http), 3)
            self.assertEqual(len(daemon.grpc), 2)
            for name in daemon.http:
                if name.startswith("http://"):
                    port = int(name.rpartition(":")[2])
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                    connection.request("GET", "/health")
                    self.assertEqual(connection.getresponse().status, 200)
                    connection.close()
            self.assertEqual(get(self.folder / "h")[0], 200)
            for name in daemon.grpc:
                with grpc.insecure_channel(name) as channel:
                    self.assertTrue(rpc.ControlStub(channel).GetModel(pb.GetModelRequest()).id)

    def test_F24_port_in_use(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            result = run("serve", "--model", TINY, "--http", address, "--grpc", "127.0.0.1:0")
        self.assertEqual(result.returncode, 71, result.stderr)
        self.assertIn(address, result.stderr)
        self.assertIn("in use", result.stderr)

    def test_F24_socket_in_use(self):
        path = self.folder / "h"
        with socket.socket(socket.AF_UNIX) as taken:
            taken.bind(str(path))
            taken.listen()
            result = run("serve", "--model", TINY, "--http", f"unix:{path}", "--grpc",
                         "127.0.0.1:0")
            self.assertEqual(result.returncode, 71, result.stderr)
            self.assertIn("in use", result.stderr)
            self.assertTrue(path.exists())

    def test_F24_stale_socket_is_replaced(self):
        path = self.folder / "h"
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(path))
        with Daemon("--http", f"unix:{path}", "--grpc", "127.0.0.1:0", listeners=False):
            self.assertEqual(get(path)[0], 200)

    def test_F24_other_files_are_left_alone(self):
        path = self.folder / "precious"
        path.write_text("data")
        result = run("serve", "--model", TINY, "--http", f"unix:{path}", "--grpc", "127.0.0.1:0")
        self.assertEqual(result.returncode, 71, result.stderr)
        self.assertEqual(path.read_text(), "data")

    def test_C11_directory_missing(self):
        result = run("serve", "--model", TINY, "--http", self.unix("no/such/h"), "--grpc",
                     "127.0.0.1:0")
        self.assertEqual(result.returncode, 71, result.stderr)
        self.assertIn("no/such/h", result.stderr)
        self.assertIn(f"the directory {self.folder}/no/such/ is missing", result.stderr)

    def test_listeners_are_bound_before_the_model_is_read(self):
        """A port in use is told even when the model is missing too."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            result = run("serve", "--model", "/nowhere", "--http",
                         f"127.0.0.1:{taken.getsockname()[1]}", "--grpc", "127.0.0.1:0")
        self.assertEqual(result.returncode, 71, result.stderr)

    def test_B6_B13_B16_keys(self):
        keys = self.folder / "keys"
        keys.write_text("# clients\nopen-sesame\n")
        keys.chmod(0o600)
        with Daemon("--http", self.unix("h"), "--grpc", self.unix("g"), "--key-file", keys,
                    listeners=False) as daemon:
            path = self.folder / "h"
            self.assertEqual(get(path)[0], 200)
            for target in ("/v1/models", "/metrics", "/ready", "/version", "/nowhere"):
                status, body = get(path, target)
                self.assertEqual(status, 401, target)
                self.assertEqual(json.loads(body)["error"]["code"], "invalid_api_key")
            good = {"Authorization": "Bearer open-sesame"}
            self.assertEqual(get(path, "/v1/models", good)[0], 200)
            self.assertEqual(get(path, "/v1/models", {"Authorization": "Bearer open"})[0], 401)
            with daemon.channel() as channel:
                stub = rpc.ControlStub(channel)
                with self.assertRaises(grpc.RpcError) as refused:
                    stub.GetModel(pb.GetModelRequest())
                self.assertEqual(refused.exception.code(), grpc.StatusCode.UNAUTHENTICATED)
                stub.GetModel(pb.GetModelRequest(),
                              metadata=[("authorization", "Bearer open-sesame")])
            self.assertNotIn("open-sesame", "\n".join(daemon.out + daemon.err))
