"""Clients that break off, lie, vanish or hang: the daemon keeps serving and loses no block."""

import json
import pathlib
import re
import socket
import struct
import tempfile
import threading
import time
import unittest

import grpc

from daemon import SANITIZED, SLOW, Daemon, pb, rpc, wait_until

# Greedy: random weights never draw the end of the text this way.
LONG = {"max_tokens": 4000, "temperature": 0}
LONG_OPTIONS = pb.Options(max_tokens=4000, sampling=pb.Sampling(temperature=0))


def post(body, length=None, path="/v1/completions"):
    head = (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body) if length is None else length}\r\n\r\n")
    return head.encode() + body


def receive_all(connection):
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


class Faults(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon("--kv-tokens", 32768, model=SLOW)
        cls.addClassCleanup(cls.daemon.__exit__, None, None, None)

    def tearDown(self):
        """Whatever happened: it serves, and every block is free."""
        self.daemon.wait_idle()
        self.assertEqual(
            self.daemon.complete("still here", max_tokens=3,
                                 temperature=0)["usage"]["completion_tokens"], 3)
        self.daemon.wait_idle()

    def stream_request(self):
        return post(json.dumps({"model": self.daemon.model, "prompt": "go", "stream": True,
                                **LONG}).encode())

    def start_stream(self):
        """A connection that has received the first of many tokens."""
        connection = self.daemon.connect()
        connection.sendall(self.stream_request())
        received = b""
        while b"data: " not in received:
            chunk = connection.recv(4096)
            self.assertTrue(chunk, received)
            received += chunk
        return connection

    def wait_running(self, count):
        wait_until(lambda: self.daemon.metrics()["hearth_requests_running"] == count,
                   f"{count} running")

    def test_H25_body_cut_off(self):
        body = json.dumps({"model": self.daemon.model, "prompt": "x"}).encode()
        connection = self.daemon.connect()
        connection.sendall(post(body[:10], length=len(body)))
        connection.shutdown(socket.SHUT_WR)
        self.assertFalse(receive_all(connection).startswith(b"HTTP/1.1 200"))
        connection.close()

    def test_J5_million_deep_document(self):
        for unit in ("[", '{"a":'):
            body = (unit * 100_000).encode()
            with self.daemon.connect() as connection:
                connection.sendall(post(body))
                self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 400"))
        with self.daemon.connect() as connection:  # a million is over the cap already
            connection.sendall(post(b"[", length=4_000_000))
            self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 413"))
        deep = ('{"model":"m","prompt":' + "[" * 1000 + "]" * 1000 + "}").encode()
        with self.daemon.connect() as connection:
            connection.sendall(post(deep))
            self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 400"))

    def test_J5_ten_million_brackets_within_a_larger_cap(self):
        with Daemon("--config", self.config({"limits": {"max_body_bytes": 16 << 20}})) as daemon:
            for unit, count in (("[", 1_000_000), ("[", 10_000_000), ('{"a":', 3_000_000)):
                body = (unit * count).encode()
                with daemon.connect() as connection:
                    connection.sendall(post(body))
                    self.assertTrue(connection.recv(65536).startswith(b"HTTP/1.1 400"))
            self.assertEqual(daemon.complete("", max_tokens=1)["usage"]["completion_tokens"], 1)

    def config(self, content):
        file = tempfile.NamedTemporaryFile("w", suffix=".json")
        self.addCleanup(file.close)
        json.dump(content, file)
        file.flush()
        return file.name

    def test_P15_n_beyond_32_bits(self):
        for n in (4294967297, 0, -1, 5, 2**31, 2**63, 1.5, True, "2"):
            status, reply = self.daemon.post(
                "/v1/completions", {"model": self.daemon.model, "prompt": "x", "n": n})
            self.assertEqual((status, reply["error"]["param"]), (400, "n"), n)

    def test_S1_client_vanishes_mid_stream(self):
        connections = [self.start_stream() for _ in range(4)]
        self.wait_running(4)
        before = self.daemon.metrics()["hearth_cancellations_total"]
        for i, connection in enumerate(connections):
            if i % 2:  # RST instead of FIN
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                      struct.pack("ii", 1, 0))
            connection.close()
        self.daemon.wait_idle()
        self.assertGreaterEqual(self.daemon.metrics()["hearth_cancellations_total"], before + 4)

    def test_S1_client_vanishes_before_the_reply(self):
        connection = self.daemon.connect()
        connection.sendall(post(json.dumps(
            {"model": self.daemon.model, "prompt": "go", **LONG}).encode()))
        self.wait_running(1)
        connection.close()
        self.daemon.wait_idle()

    def test_G14_grpc_client_cancels(self):
        with self.daemon.channel() as channel:
            call = rpc.InferenceStub(channel).Generate(
                pb.GenerateRequest(text="go", options=LONG_OPTIONS))
            for event in call:
                if event.HasField("delta"):
                    break
            call.cancel()
            self.daemon.wait_idle()

    def test_G13_grpc_deadline(self):
        with self.daemon.channel() as channel:
            call = rpc.InferenceStub(channel).Generate(
                pb.GenerateRequest(text="go", options=LONG_OPTIONS), timeout=0.3)
            with self.assertRaises(grpc.RpcError) as ended:
                for _ in call:
                    pass
        self.assertEqual(ended.exception.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
        self.daemon.wait_idle()

    def test_H28_64_idle_connections(self):
        connections = [self.daemon.connect() for _ in range(64)]
        for connection in connections[:32]:  # half of them in the middle of a request
            connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost:")
        start = time.monotonic()
        self.daemon.get("/health")
        self.daemon.complete("between", max_tokens=3)
        self.assertLess(time.monotonic() - start, 30)
        for connection in connections:
            connection.close()

    def test_F17_connections_that_only_wait_keep_nobody_out(self):
        config = self.config({"limits": {"max_connections": 8}})
        with Daemon("--config", config) as daemon:
            idle = [daemon.connect() for _ in range(8)]
            for _ in range(4):
                self.assertEqual(daemon.get("/health"), '{"status":"ok"}')
            for connection in idle:
                connection.close()
            self.assertGreaterEqual(
                daemon.metrics()['hearth_connections_shed_total{transport="http"}'], 1)

    def test_F17_connections_beyond_the_limit_are_told(self):
        config = self.config({"limits": {"max_connections": 4}})
        with Daemon("--config", config, model=SLOW) as daemon:
            request = post(json.dumps({"model": daemon.model, "prompt": "go", "stream": True,
                                       **LONG}).encode())
            busy, reply = [], b"HTTP/1.1 200"
            while reply.startswith(b"HTTP/1.1 200"):
                busy.append(daemon.connect())
                self.assertLessEqual(len(busy), 5)
                try:
                    busy[-1].sendall(request)
                    reply = busy[-1].recv(4096)
                except (ConnectionResetError, BrokenPipeError):
                    reply = b""
            self.assertTrue(reply == b"" or reply.startswith(b"HTTP/1.1 503"), reply)
            self.assertGreater(len(busy), 2)
            for connection in busy:
                connection.close()
            def free():
                try:
                    daemon.get("/health")
                    return True
                except (AssertionError, ConnectionError, OSError):
                    return False
            wait_until(free, "room for connections")

    def test_F10_out_of_descriptors(self):
        """With the descriptors used up clients are shed; afterwards all is as before."""
        def limited(argv):
            return ["/bin/sh", "-c", 'ulimit -n 96; exec "$@"', "sh", *argv]
        with Daemon(command=limited) as daemon:
            connections = []
            for _ in range(150):
                try:
                    connections.append(socket.create_connection(("127.0.0.1", daemon.port),
                                                                timeout=1))
                except OSError:
                    break
            time.sleep(0.5)
            for connection in connections:
                connection.close()
            def free():
                try:
                    daemon.get("/health")
                    return True
                except (AssertionError, OSError):
                    return False
            wait_until(free, "descriptors to come back")
            self.assertEqual(daemon.complete("", max_tokens=1)["usage"]["completion_tokens"], 1)
            self.assertTrue(daemon.generate("", max_tokens=1))
            self.assertGreaterEqual(
                daemon.metrics()['hearth_connections_shed_total{transport="http"}'], 1)

    def test_queue_full_is_429(self):
        config = self.config({"engine": {"max_running": 1}, "limits": {"max_queued": 1}})
        with Daemon("--config", config, model=SLOW) as daemon:
            request = post(json.dumps({"model": daemon.model, "prompt": "go", "stream": True,
                                       **LONG}).encode())
            first = daemon.connect()
            first.sendall(request)
            wait_until(lambda: daemon.metrics()["hearth_requests_running"] == 1, "one running")
            second = daemon.connect()
            second.sendall(request)
            wait_until(lambda: daemon.metrics()["hearth_requests_queued"] == 1, "one queued")
            status, headers, body = daemon.request(
                "POST", "/v1/completions", {"model": daemon.model, "prompt": "x"})
            self.assertEqual(status, 429, body)
            self.assertGreaterEqual(int(headers["Retry-After"]), 1)
            self.assertEqual(json.loads(body)["error"]["type"], "rate_limit_error")
            first.close()
            second.close()
            daemon.wait_idle()

    def test_S2_F15_half_close_keeps_the_stream(self):
        connection = self.daemon.connect()
        connection.sendall(post(json.dumps({"model": self.daemon.model, "prompt": "go",
                                            "stream": True, "max_tokens": 20}).encode()))
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while b"[DONE]" not in received:
            chunk = connection.recv(65536)
            self.assertTrue(chunk, received)
            received += chunk
        connection.close()

    def planned_bytes(self, daemon):
        line = next(line for line in daemon.out if line.startswith("  memory "))
        return float(re.search(r"= ([0-9.]+) MiB of", line)[1]) * (1 << 20)

    def test_J6_bodies_at_the_cap_in_parallel_stay_within_the_plan(self):
        """What the plan says at start is what it takes, whatever is asked."""
        cap = 1 << 20
        model = self.daemon.model
        def filled(prefix, unit, suffix):
            count = (cap - len(prefix) - len(suffix)) // len(unit)
            return (prefix + unit * count + suffix).encode()
        start = json.dumps({"model": model, "max_tokens": 1})[:-1]
        bodies = [filled(start + ', "prompt": "', "word ", '"}'),
                  filled(start + ', "prompt": [1', ",1", "]}"),
                  filled(start + ', "prompt": "', "x", '"}'),
                  filled(start + ', "stop": ["a"', ',"a"', "]}"),
                  filled(start + ', "a": [[]', ",{}", "]}")]
        statuses = []
        def send(body):
            status, _, _ = self.daemon.request("POST", "/v1/completions", body)
            statuses.append(status)
        for _ in range(4):
            threads = [threading.Thread(target=send, args=(body,)) for body in bodies * 4]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(len(statuses), 16 * len(bodies))
        self.assertLessEqual(set(statuses), {400, 503})
        self.assertIn(400, statuses)
        if SANITIZED:
            return
        peak = int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(
            f"/proc/{self.daemon.process.pid}/status").read_text())[1]) * 1024
        self.assertLess(peak, self.planned_bytes(self.daemon))
