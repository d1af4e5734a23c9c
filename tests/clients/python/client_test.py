"""hearth.Client against a scripted daemon."""

import importlib.util
import inspect
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import grpc

import hearth
from hearth.v1 import error_details_pb2
from hearth.v1 import inference_pb2 as pb
from scripted_daemon import PATIENCE, ScriptedDaemon, call_events, details, reply_events

EXAMPLES = pathlib.Path(os.environ["HEARTH_SOURCE"]) / "clients/python/examples"


class Calls(unittest.TestCase):

    def test_chat_puts_the_reply_together(self):
        with ScriptedDaemon(reply_events("Hel", "lo")) as daemon:
            with hearth.Client(daemon.address, key="secret") as client:
                reply = client.chat("Hi", timeout=PATIENCE)
        self.assertEqual(reply.text, "Hello")
        self.assertEqual(reply.first.tokens, [7, 7])
        self.assertEqual(reply.first.finish_reason, "stop")
        self.assertEqual(reply.usage, hearth.Usage(5, 2, 4))
        self.assertEqual(reply.accepted, hearth.Accepted("feedbeef", "m", 5, 9))
        self.assertEqual(reply.message, hearth.Message("assistant", "Hello"))
        self.assertEqual(daemon.metadata["authorization"], "Bearer secret")
        self.assertEqual(daemon.requests[0].messages[0].content, "Hi")

    def test_streams_give_typed_events(self):
        with ScriptedDaemon(reply_events("a", "b")) as daemon:
            with hearth.Client(daemon.address) as client:
                with client.stream_generate("Once") as stream:
                    kinds = [type(event) for event in stream]
        self.assertEqual(kinds, [hearth.Accepted, hearth.Progress, hearth.Delta, hearth.Delta,
                                 hearth.Finish, hearth.Usage])
        self.assertEqual(stream.reply().text, "ab")
        self.assertEqual(daemon.requests[0].text, "Once")
        self.assertNotIn("authorization", daemon.metadata)

    def test_calls_of_tools(self):
        with ScriptedDaemon(call_events()) as daemon, hearth.Client(daemon.address) as client:
            reply = client.chat("How is Rome?")
        self.assertEqual([call.name for call in reply.tool_calls], ["weather", "now"])
        self.assertEqual(reply.tool_calls[0].parsed_arguments(), {"city": "Rome"})
        self.assertEqual(reply.first.finish_reason, "tool_calls")
        self.assertEqual(reply.message.tool_calls, tuple(reply.tool_calls))

    def test_every_other_method(self):
        with ScriptedDaemon() as daemon, hearth.Client(daemon.address) as client:
            self.assertEqual(client.tokenize("ab"), [97, 98])
            self.assertEqual(client.detokenize([97]), "a")
            self.assertEqual(client.render_chat("Hi").ids, [1, 2])
            self.assertEqual(client.embed(["a", [1, 2]]).vectors, [[1, 0], [1, 0]])
            self.assertEqual(daemon.requests[-1].inputs[1].tokens.ids, [1, 2])
            self.assertEqual(len(client.embed("a").vectors), 1)
            yes, no = client.score("x", ["yes", "no"]).candidates
            self.assertEqual((yes.logprob, no.logprob), (-3, -2))
            self.assertEqual(no.tokens, [hearth.TokenLogprob(ord("n"), -1, b"n"),
                                         hearth.TokenLogprob(ord("o"), -1, b"o")])
            self.assertEqual(daemon.requests[-1].text, "x")
            client.score([hearth.Message("user", "x")], ["yes"])
            self.assertEqual(daemon.requests[-1].chat.messages[0].content, "x")
            self.assertEqual(client.estimate_chat("x").queue_position, 3)
            self.assertEqual(client.estimate_generate("x").total_ms, 12500)
            self.assertEqual(daemon.requests[-1].generate.text, "x")
            self.assertTrue(client.cancel("feedbeef"))
            self.assertFalse(client.cancel("other"))
            self.assertEqual(client.model().max_context, 8192)
            self.assertEqual(client.load().running, 3)
            self.assertEqual(client.drain(), 2)
            client.flush_cache()
            self.assertEqual(client.pin("p", [1, 2, 3]), 64)
            self.assertEqual(daemon.requests[-1].tokens.ids, [1, 2, 3])
            client.unpin("p")
            self.assertEqual(daemon.requests[-1].name, "p")

    def test_watching_the_load_ends_with_the_iterator(self):
        with ScriptedDaemon() as daemon, hearth.Client(daemon.address) as client:
            loads = client.watch_load(0.5)
            self.assertEqual([next(loads).running, next(loads).running], [1, 2])
            loads.close()
            self.assertTrue(daemon.cancelled.wait(PATIENCE))
            self.assertEqual(daemon.requests[0].interval_ms, 500)

    def test_the_example_answers(self):
        path = EXAMPLES / "tools_loop.py"
        spec = importlib.util.spec_from_file_location("tools_loop", path)
        example = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(example)
        call = pb.GenerateEvent(tool_call=pb.ToolCallDelta(
            id="c0", name="get_weather", arguments='{"city": "Oslo"}'))
        with ScriptedDaemon([call]) as daemon, hearth.Client(daemon.address) as client:
            with self.assertRaisesRegex(RuntimeError, "no answer after 2 rounds"):
                example.answer(client, "Is it cold in Oslo?", most_rounds=2)
            self.assertEqual(daemon.requests[1].messages[2].content, '{"temperature": 2}')
            self.assertEqual(daemon.requests[1].messages[2].tool_call_id, "c0")
            daemon.events = reply_events("Yes.")
            self.assertEqual(example.answer(client, "Is it cold in Oslo?"), "Yes.")


class Cancelling(unittest.TestCase):

    def hanging(self):
        daemon = ScriptedDaemon(reply_events("slowly")[:3], hang=True)
        self.addCleanup(daemon.server.stop, None)
        client = hearth.Client(daemon.address)
        self.addCleanup(client.close)
        return daemon, client

    def test_leaving_a_stream(self):
        daemon, client = self.hanging()
        with client.stream_chat("x") as stream:
            next(stream)
        self.assertTrue(daemon.cancelled.wait(PATIENCE))
        self.assertEqual(list(stream), [])

    def test_an_exception_in_the_loop(self):
        daemon, client = self.hanging()
        with self.assertRaises(KeyboardInterrupt), client.stream_chat("x") as stream:
            for _ in stream:
                raise KeyboardInterrupt
        self.assertTrue(daemon.cancelled.wait(PATIENCE))

    def test_closing_the_client(self):
        daemon, client = self.hanging()
        stream = client.stream_chat("x")
        next(stream)
        client.close()
        self.assertTrue(daemon.cancelled.wait(PATIENCE))
        with self.assertRaises(hearth.Cancelled):
            list(stream)

    def test_deadline(self):
        daemon, client = self.hanging()
        with self.assertRaises(hearth.DeadlineExceeded):
            client.chat("x", timeout=0.2)
        self.assertTrue(daemon.cancelled.wait(PATIENCE))
        daemon, _ = self.hanging()
        with hearth.Client(daemon.address, timeout=0.2) as impatient:
            with self.assertRaises(hearth.DeadlineExceeded):
                impatient.generate("x")


class Errors(unittest.TestCase):

    def error_of(self, code, message="", trailing=()):
        with ScriptedDaemon(error=(code, message, trailing)) as daemon:
            with hearth.Client(daemon.address) as client:
                with self.assertRaises(hearth.Error) as unary:
                    client.load()
                with self.assertRaises(hearth.Error) as streamed:
                    client.chat("x")
        for one in (unary.exception, streamed.exception):
            self.assertEqual(vars(one), vars(unary.exception))
            self.assertIs(type(one), type(unary.exception))
        return unary.exception

    def test_each_code_has_its_type(self):
        for code, kind in [
                (grpc.StatusCode.INVALID_ARGUMENT, hearth.InvalidArgument),
                (grpc.StatusCode.UNAUTHENTICATED, hearth.Unauthenticated),
                (grpc.StatusCode.PERMISSION_DENIED, hearth.PermissionDenied),
                (grpc.StatusCode.NOT_FOUND, hearth.NotFound),
                (grpc.StatusCode.RESOURCE_EXHAUSTED, hearth.ResourceExhausted),
                (grpc.StatusCode.UNAVAILABLE, hearth.Unavailable),
                (grpc.StatusCode.UNIMPLEMENTED, hearth.Unimplemented),
                (grpc.StatusCode.INTERNAL, hearth.Error)]:
            error = self.error_of(code, "what is wrong")
            self.assertIs(type(error), kind)
            self.assertEqual((error.code, str(error)), (code.name, "what is wrong"))
            self.assertEqual((error.field, error.retry_after), (None, None))

    def test_field(self):
        detail = error_details_pb2.BadRequest()
        detail.field_violations.add(field="temperature", description="must be within [0, 2]")
        code = grpc.StatusCode.INVALID_ARGUMENT
        error = self.error_of(code, "m", details(code, "m", "BadRequest", detail))
        self.assertEqual(error.field, "temperature")

    def test_retry_after(self):
        detail = error_details_pb2.RetryInfo()
        detail.retry_delay.FromMilliseconds(2500)
        code = grpc.StatusCode.RESOURCE_EXHAUSTED
        error = self.error_of(code, "m", details(code, "m", "RetryInfo", detail))
        self.assertEqual(error.retry_after, 2.5)

    def test_details_that_are_none(self):
        code = grpc.StatusCode.INVALID_ARGUMENT
        error = self.error_of(code, "m", (("grpc-status-details-bin", b"\xff\xff"),))
        self.assertEqual((str(error), error.field), ("m", None))

    def test_nobody_listens(self):
        with hearth.Client("127.0.0.1:1") as client, self.assertRaises(hearth.Unavailable):
            client.load()

    def test_addresses_and_keys_that_are_none(self):
        for wrong in ("", "nowhere", ":8081", "host:", "host:x", "unix:", "tls:", "tls:host",
                      "host:0", "host:65536", "host:99999999999", "http://host:8080"):
            with self.assertRaisesRegex(ValueError, "address"):
                hearth.Client(wrong)
        for wrong in ("a\nb", "ä", "\0"):
            with self.assertRaisesRegex(ValueError, "key"):
                hearth.Client(key=wrong)


class Transports(unittest.TestCase):

    def test_unix_socket(self):
        with tempfile.TemporaryDirectory(prefix="hearth-") as folder:
            with ScriptedDaemon(address=f"unix:{folder}/s") as daemon:
                with hearth.Client(daemon.address) as client:
                    self.assertEqual(client.load().running, 3)

    def test_tls(self):
        with tempfile.TemporaryDirectory(prefix="hearth-") as name:
            folder = pathlib.Path(name)
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                 "-nodes", "-days", "1", "-subj", "/CN=hearth.test", "-addext",
                 "subjectAltName=DNS:hearth.test", "-keyout", folder / "key", "-out",
                 folder / "crt"], check=True, capture_output=True)
            key, certificate = (folder / "key").read_bytes(), (folder / "crt").read_bytes()
        credentials = grpc.ssl_server_credentials([(key, certificate)])
        with ScriptedDaemon(address="localhost:0", credentials=credentials) as daemon:
            good = hearth.Tls(certificate, "hearth.test")
            with hearth.Client(f"tls:{daemon.address}", tls=good) as client:
                self.assertEqual(client.load().running, 3)
            for address, bad in [(f"tls:{daemon.address}", hearth.Tls()),
                                 (f"tls:{daemon.address}", hearth.Tls(certificate)),
                                 (daemon.address, hearth.Tls())]:
                with hearth.Client(address, tls=bad) as client:
                    with self.assertRaises(hearth.Unavailable):
                        client.load()
        with self.assertRaisesRegex(ValueError, "expected tls:"):
            hearth.Client(daemon.address, tls=good)


class Shape(unittest.TestCase):

    def test_both_clients_have_the_same_methods(self):
        def methods(kind):
            return {name: inspect.signature(method).replace(return_annotation=None)
                    for name, method in inspect.getmembers(kind, inspect.isfunction)
                    if not name.startswith("_") or name == "__init__"}
        self.assertEqual(methods(hearth.Client), methods(hearth.AsyncClient))
        self.assertGreater(len(methods(hearth.Client)), 15)

    def test_every_method_of_the_services_is_called(self):
        source = inspect.getsource(sys.modules["hearth.client"])
        for service in pb.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                self.assertRegex(source, rf"\._(inference|control)\.{method.name}\b")

    def test_all_is_all(self):
        for name in hearth.__all__:
            self.assertTrue(hasattr(hearth, name), name)


if __name__ == "__main__":
    unittest.main()
