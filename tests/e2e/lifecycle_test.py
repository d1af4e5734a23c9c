"""Signals: drain, second signal, a signal while loading, signals that must not matter."""

import json
import os
import signal
import threading
import time

import grpc

from daemon import SLOW, Daemon, TestCase, pb, rpc, wait_until


class Lifecycle(TestCase):

    def start_stream(self, daemon, max_tokens):
        """A thread that reads a stream to its end into a list."""
        events = []
        def read():
            try:
                for event in daemon.stream("/v1/completions", prompt="go", temperature=0,
                                           max_tokens=max_tokens):
                    events.append(event)
            except (ConnectionError, OSError) as error:
                events.append(error)
        thread = threading.Thread(target=read)
        thread.start()
        wait_until(lambda: events, "the first token")
        return thread, events

    def test_F2_idle(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with Daemon() as daemon:
                start = time.monotonic()
                daemon.signal(number)
                self.assertEqual(daemon.finish(), 0)
                self.assertLess(time.monotonic() - start, 10)

    def test_F2_running_streams_finish(self):
        with Daemon() as daemon:
            thread, events = self.start_stream(daemon, max_tokens=400)
            daemon.signal(signal.SIGTERM)
            self.assertEqual(daemon.finish(), 0)
            thread.join()
            self.assertEqual(events[-1], "[DONE]")
            self.assertEqual(json.loads(events[-2])["choices"][0]["finish_reason"], "length")

    def config(self, **limits):
        path = self.folder / "config.json"
        path.write_text(json.dumps({"limits": limits}))
        return path

    def test_F2_late_streams_get_an_error_event(self):
        with Daemon("--config", self.config(drain_timeout_ms=300), model=SLOW) as daemon:
            thread, events = self.start_stream(daemon, max_tokens=4000)
            daemon.signal(signal.SIGTERM)
            self.assertEqual(daemon.finish(), 0)
            thread.join()
            last = json.loads(events[-1])
            self.assertEqual(last["error"]["code"], "draining")

    def test_F2_late_grpc_streams_end_unavailable(self):
        with Daemon("--config", self.config(drain_timeout_ms=300), model=SLOW) as daemon:
            with daemon.channel() as channel:
                call = rpc.InferenceStub(channel).Generate(
                    pb.GenerateRequest(
                        text="go", options=pb.Options(max_tokens=4000,
                                                      sampling=pb.Sampling(temperature=0))))
                for event in call:
                    if event.HasField("delta"):
                        break
                daemon.signal(signal.SIGTERM)
                with self.assertRaises(grpc.RpcError) as ended:
                    for event in call:
                        pass
            self.assertEqual(ended.exception.code(), grpc.StatusCode.UNAVAILABLE)
            self.assertEqual(daemon.finish(), 0)

    def test_draining_takes_no_more(self):
        with Daemon("--config", self.config(drain_timeout_ms=20000), model=SLOW) as daemon:
            thread, _ = self.start_stream(daemon, max_tokens=4000)
            connection = daemon.connect()  # open before, as a keep-alive client's is
            daemon.signal(signal.SIGTERM)
            wait_until(lambda: any("draining" in line for line in daemon.err), "the drain")
            body = json.dumps({"model": daemon.model, "prompt": "x"}).encode()
            connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
                               b"Content-Type: application/json\r\nContent-Length: "
                               + str(len(body)).encode() + b"\r\n\r\n" + body)
            reply = b""
            while b"\r\n\r\n{" not in reply or not reply.endswith(b"}"):
                chunk = connection.recv(65536)
                self.assertTrue(chunk, reply)
                reply += chunk
            self.assertTrue(reply.startswith(b"HTTP/1.1 503"), reply)
            self.assertIn(b"draining", reply)
            connection.close()
            daemon.signal(signal.SIGTERM)
            daemon.finish()
            thread.join()

    def test_F3_second_signal_exits_at_once(self):
        for second in (signal.SIGTERM, signal.SIGINT):
            with Daemon("--config", self.config(drain_timeout_ms=60000), model=SLOW) as daemon:
                thread, _ = self.start_stream(daemon, max_tokens=4000)
                daemon.signal(signal.SIGTERM)
                wait_until(lambda: any("draining" in line for line in daemon.err), "the drain")
                start = time.monotonic()
                daemon.signal(second)
                self.assertEqual(daemon.finish(), -second)
                self.assertLess(time.monotonic() - start, 3)
                thread.join()

    def test_F2_while_loading(self):
        """Wherever in its start the signal meets it, it ends soon and well."""
        for delay in (0.0, 0.01, 0.03, 0.1):
            daemon = Daemon(ready=False)
            wait_until(lambda: daemon.err or daemon.process.poll() is not None, "listeners")
            time.sleep(delay)
            start = time.monotonic()
            daemon.signal(signal.SIGTERM)
            self.assertEqual(daemon.finish(), 0, daemon.err)
            self.assertLess(time.monotonic() - start, 10)

    def test_F4_sighup_does_not_kill(self):
        with Daemon() as daemon:
            for _ in range(100):
                daemon.signal(signal.SIGHUP)
            wait_until(lambda: any("SIGHUP" in line for line in daemon.err), "a word about it")
            self.assertEqual(daemon.complete("", max_tokens=2)["usage"]["completion_tokens"], 2)

    def test_F1_restart_after_kill(self):
        path = self.folder / "http.sock"
        args = ("--http", f"unix:{path}", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0")
        daemon = Daemon(*args, listeners=False)
        daemon.signal(signal.SIGKILL)
        daemon.finish()
        self.assertTrue(path.exists())  # stale
        with Daemon(*args, listeners=False) as again:
            self.assertEqual(again.complete("", max_tokens=2)["usage"]["completion_tokens"], 2)
        self.assertFalse(path.exists())

    def test_F5_stopped_and_continued(self):
        with Daemon() as daemon:
            expected = daemon.complete("pause", temperature=0, max_tokens=300)
            thread, events = self.start_stream(daemon, max_tokens=300)
            daemon.signal(signal.SIGSTOP)
            time.sleep(0.5)
            daemon.signal(signal.SIGCONT)
            thread.join()
            self.assertEqual(events[-1], "[DONE]")
            again = daemon.complete("pause", temperature=0, max_tokens=300)
            self.assertEqual(expected["choices"], again["choices"])

    def test_F22_nobody_reads_the_log(self):
        """With the pipe behind stderr full, requests are answered and lines are counted."""
        read_end, write_end = os.pipe()
        self.addCleanup(os.close, read_end)
        os.set_blocking(write_end, False)
        try:
            while True:
                os.write(write_end, b"x" * 4096)
        except BlockingIOError:
            pass
        os.set_blocking(write_end, True)
        def deaf(argv):
            return ["/bin/bash", "-c", f'exec "$@" 2>&{write_end}', "bash", *argv]
        config = self.folder / "debug.json"
        config.write_text('{"log": {"level": "debug"}}')
        with Daemon("--config", config, command=deaf, pass_fds=(write_end,)) as daemon:
            os.close(write_end)
            for _ in range(20):  # each logs lines
                daemon.signal(signal.SIGHUP)
                self.assertEqual(daemon.complete("", max_tokens=2)["usage"]["completion_tokens"],
                                 2)
                self.assertTrue(daemon.generate("", max_tokens=2))
            self.assertGreater(daemon.metrics()["hearth_log_lines_dropped_total"], 20)
