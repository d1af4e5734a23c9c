"""What systemd sees: readiness, status, watchdog, sockets it bound, and the unit files."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time

from daemon import SOURCE, Daemon, TestCase, run, wait_until


class FakeSystemd:
    """The receiving end of NOTIFY_SOCKET."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.messages = []
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        while message := self.socket.recv(4096).decode():
            self.messages.append(message)

    def wait(self, text):
        wait_until(lambda: text in "\n".join(self.messages), text)

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.path)
        self.reader.join()
        self.socket.close()


class Systemd(TestCase):

    def setUp(self):
        super().setUp()
        self.systemd = FakeSystemd(self.folder)
        self.addCleanup(self.systemd.close)

    def test_ready_status_stopping(self):
        with Daemon(env={"NOTIFY_SOCKET": self.systemd.path}) as daemon:
            self.systemd.wait("READY=1")
            messages = self.systemd.messages
            ready = [i for i, message in enumerate(messages) if "READY=1" in message]
            self.assertEqual(len(ready), 1, messages)
            loading = [i for i, message in enumerate(messages) if "STATUS=Loading" in message]
            self.assertTrue(loading and max(loading) < ready[0], messages)
            self.assertEqual(daemon.stop(), 0)
            self.systemd.wait("STOPPING=1")

    def test_no_ready_without_a_model(self):
        result = run("serve", "--model", "/nowhere", "--http", "127.0.0.1:0", "--grpc",
                     "127.0.0.1:0", env={"NOTIFY_SOCKET": self.systemd.path})
        self.assertEqual(result.returncode, 66)
        self.assertNotIn("READY=1", "\n".join(self.systemd.messages))

    def test_F6_watchdog_lives_from_engine_progress(self):
        env = {"NOTIFY_SOCKET": self.systemd.path, "WATCHDOG_USEC": "200000"}
        with Daemon(env=env) as daemon:
            self.systemd.wait("WATCHDOG=1")  # an idle engine is well too
            daemon.signal(signal.SIGSTOP)
            time.sleep(0.2)
            self.systemd.messages.clear()
            time.sleep(0.5)
            self.assertNotIn("WATCHDOG=1", self.systemd.messages)
            daemon.signal(signal.SIGCONT)
            self.systemd.wait("WATCHDOG=1")

    def activated(self, *names, host="127.0.0.1", args=(), ready=True):
        """A daemon that gets listening sockets of these names as descriptors 3, 4, …"""
        sockets = [socket.create_server((host, 0)) for _ in names]
        for listener in sockets:
            self.addCleanup(listener.close)
        # The pid must be the daemon's own: the shell becomes it.
        high = [os.dup2(listener.fileno(), 40 + i) for i, listener in enumerate(sockets)]
        for fd in high:
            self.addCleanup(os.close, fd)
        moves = " ".join(f"{3 + i}<&{fd} {fd}<&-" for i, fd in enumerate(high))
        script = (f"LISTEN_PID=$$ LISTEN_FDS={len(names)} LISTEN_FDNAMES={':'.join(names)} "
                  f'exec "$@" {moves}')
        daemon = Daemon("--http", "127.0.0.1:1", "--grpc", "127.0.0.1:1", *args, listeners=False,
                        command=lambda argv: ["/bin/bash", "-c", script, "bash", *argv],
                        pass_fds=high, ready=ready)
        return daemon, [listener.getsockname()[1] for listener in sockets]

    def test_socket_activation(self):
        daemon, ports = self.activated("http", "grpc", "http")
        with daemon:
            self.assertEqual(daemon.http, [f"http://127.0.0.1:{ports[0]}",
                                           f"http://127.0.0.1:{ports[2]}"])
            self.assertEqual(daemon.grpc, [f"127.0.0.1:{ports[1]}"])
            self.assertEqual(daemon.complete("", max_tokens=1)["usage"]["completion_tokens"], 1)
            self.assertTrue(daemon.generate("", max_tokens=1))

    def test_C7_activated_sockets_open_to_the_network(self):
        daemon, ports = self.activated("http", "grpc", host="0.0.0.0", ready=False)
        self.assertEqual(daemon.finish(), 78, daemon.err)
        self.assertEqual([f"0.0.0.0:{ports[0]}" in line and "auth.key_file" in line
                          for line in daemon.err], [True], daemon.err)

    def test_C7_activated_sockets_may_be_open_when_asked_for(self):
        config = self.folder / "open.json"
        config.write_text('{"auth": {"allow_unauthenticated": true}}')
        daemon, _ = self.activated("http", "grpc", host="0.0.0.0", args=("--config", config),
                                   ready=False)
        with daemon:
            wait_until(lambda: any(line.startswith("Try: ") for line in daemon.out),
                       "the welcome")

    def test_journal_priorities(self):
        with Daemon(env={"JOURNAL_STREAM": "8:1"}) as daemon:
            self.assertTrue(daemon.err and all(line.startswith("<6>") for line in daemon.err),
                            daemon.err)

    def test_unit_files(self):
        if shutil.which("systemd-analyze") is None:
            self.skipTest("systemd-analyze is not installed")
        for unit in sorted((SOURCE / "deploy/systemd").iterdir()):
            text = unit.read_text().replace("/usr/bin/hearthd", "/bin/true")
            (self.folder / unit.name).write_text(text)
        units = sorted(str(path) for path in self.folder.glob("hearthd*"))
        result = subprocess.run(["systemd-analyze", "verify", "--man=no", *units],
                                capture_output=True, text=True, timeout=60)
        about_ours = [line for line in result.stderr.splitlines() if "hearthd" in line]
        self.assertEqual(about_ours, [], result.stderr)

    def test_unit_sockets_outlive_it_and_are_its_groups(self):
        folder = SOURCE / "deploy/systemd"
        service = (folder / "hearthd.service").read_text().splitlines()
        self.assertIn("RuntimeDirectoryPreserve=yes", service)
        self.assertNotIn("DynamicUser=yes", service)  # hides a directory that is preserved
        user = next(line.split()[1] for line in (folder / "sysusers.conf").read_text().splitlines()
                    if line.startswith("u "))
        self.assertIn(f"Group={user}", service)
        for path in folder.glob("*.socket"):
            text = path.read_text().splitlines()
            self.assertIn(f"SocketGroup={user}", text)
            self.assertIn("SocketMode=0660", text)

    def test_unit_stops_later_than_the_drain(self):
        text = (SOURCE / "deploy/systemd/hearthd.service").read_text()
        proto = (SOURCE / "proto/hearth/v1/config.proto").read_text()
        drain_ms = int(proto.split("drain_timeout_ms")[1].split("by_default: ")[1].split()[0])
        stop_s = int(text.split("TimeoutStopSec=")[1].split()[0])
        self.assertGreater(stop_s * 1000, drain_ms + 3000)
