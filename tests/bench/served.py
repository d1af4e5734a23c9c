"""A server under measurement: started, waited for, stopped; and HTTP to it, over TCP or a Unix
socket."""

import http.client
import os
import pathlib
import re
import socket
import subprocess
import tempfile
import time
import urllib.parse


class Address:
    """Where a server listens: http://HOST:PORT or unix:PATH."""

    def __init__(self, text):
        self.path = text.removeprefix("unix:") if text.startswith("unix:") else None
        url = urllib.parse.urlsplit(text)
        self.host, self.port = url.hostname or "localhost", url.port or 80
        if self.path is None and url.scheme != "http":
            raise ValueError(f"{text}: neither http://HOST:PORT nor unix:PATH")

    def connect(self, timeout=None):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        if self.path is not None:
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.settimeout(timeout)
            connection.sock.connect(self.path)
        return connection

    def status_of(self, path):
        """The HTTP status of a GET; None where nobody answers."""
        try:
            connection = self.connect(timeout=5)
            try:
                connection.request("GET", path)
                return connection.getresponse().status
            finally:
                connection.close()
        except (OSError, http.client.HTTPException):
            return None


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A process that serves HTTP at `address` and answers 200 at `ready_path` once it can work.
    Use as a context manager."""

    PATIENCE = 600

    def __init__(self, argv, address, ready_path):
        self.log = tempfile.TemporaryFile()
        begin = time.monotonic()
        self.process = subprocess.Popen(list(map(str, argv)), stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        self.address = address
        try:
            while address.status_of(ready_path) != 200:
                if self.process.poll() is not None:
                    raise RuntimeError(f"{argv[0]} ended with {self.process.returncode}:\n"
                                       f"{self.words()}")
                if time.monotonic() - begin > self.PATIENCE:
                    raise RuntimeError(f"{argv[0]} is not ready after {self.PATIENCE} s")
                time.sleep(0.01)
        except BaseException:
            self.stop()
            raise
        self.seconds_to_ready = time.monotonic() - begin

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def words(self):
        """The last of what it said."""
        size = self.log.seek(0, 2)
        return os.pread(self.log.fileno(), 2000, max(0, size - 2000)).decode(errors="replace")

    def peak_memory(self):
        """The most bytes that were resident so far, the loading included."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(r"VmHWM:\s*(\d+) kB", status)[1]) * 1024

    def wait_for_log(self, text):
        begin = time.monotonic()
        while text not in self.words():
            if time.monotonic() - begin > self.PATIENCE:
                raise RuntimeError(f"no {text!r} in\n{self.words()}")
            time.sleep(0.1)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def hearthd(path, model, *flags):
    """hearthd with a model, on free ports of loopback."""
    port = free_port()
    return Server([path, "serve", "--model", model, "--http", f"127.0.0.1:{port}", "--grpc",
                   "127.0.0.1:0", *flags], Address(f"http://127.0.0.1:{port}"), "/ready")
