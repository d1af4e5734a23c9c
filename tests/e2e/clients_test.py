"""The Python client and the CLI with a real daemon and the demo model."""

import array
import asyncio
import json
import os
import subprocess
import tempfile
import time

import demo_model
import hearth
from daemon import PATIENCE, SLOW, Daemon, TestCase

CLI = os.environ["HEARTH_CLI"]
GREEDY = hearth.Options(temperature=0)
BOILER = "The boiler reads 71 bar, the limit is 65 bar. Is it too high?"
BOILER_ANSWER = "boiler: 71 of 65 bar, too high."


class Demo(TestCase):

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(model=demo_model.PATH)
        cls.addClassCleanup(cls.daemon.__exit__, None, None, None)

    def setUp(self):
        super().setUp()
        self.client = hearth.Client(self.daemon.grpc[0], timeout=PATIENCE)
        self.addCleanup(self.client.close)

    def hearth(self, *arguments, stdin=""):
        return subprocess.run([CLI, *arguments, "--address", self.daemon.grpc[0]], input=stdin,
                              capture_output=True, text=True, timeout=PATIENCE, check=False)

    def test_chat(self):
        reply = self.client.chat(BOILER, options=GREEDY)
        self.assertEqual(reply.text, BOILER_ANSWER)
        self.assertEqual(reply.first.finish_reason, "stop")
        self.assertEqual(reply.accepted.model, self.daemon.model)
        self.assertGreater(reply.usage.completion_tokens, 5)
        with self.client.stream_chat([hearth.Message("user", BOILER)], options=GREEDY) as stream:
            deltas = [event.text for event in stream if isinstance(event, hearth.Delta)]
        self.assertEqual("".join(deltas), BOILER_ANSWER)
        self.assertGreater(len(deltas), 3)
        self.assertEqual(self.hearth("chat", BOILER, "--temperature", "0").stdout,
                         BOILER_ANSWER + "\n")

    def test_async_chats_at_once(self):
        async def ask():
            async with hearth.AsyncClient(self.daemon.grpc[0], timeout=PATIENCE) as client:
                return await asyncio.gather(*(client.chat(BOILER, options=GREEDY)
                                              for _ in range(5)))
        self.assertEqual({reply.text for reply in asyncio.run(ask())}, {BOILER_ANSWER})

    def test_the_accepted_seed_repeats_a_reply(self):
        first = self.client.generate("Once", options=hearth.Options(max_tokens=20))
        again = self.client.generate("Once", options=hearth.Options(
            max_tokens=20, seed=first.accepted.seed))
        self.assertEqual(again.first.tokens, first.first.tokens)

    def test_tokens_and_back(self):
        ids = self.client.tokenize("Hello, Hearth")
        self.assertEqual(self.client.detokenize(ids), "Hello, Hearth")

    def test_model_and_load(self):
        model = self.client.model()
        self.assertEqual((model.id, model.architecture), (self.daemon.model, "phi3"))
        self.assertEqual(json.loads(self.hearth("models", "--json").stdout)["id"], model.id)
        load = self.client.load()
        self.assertEqual((load.queued, load.draining), (0, False))

    def test_errors_name_their_field(self):
        with self.assertRaises(hearth.InvalidArgument) as refused:
            self.client.chat("x", options=hearth.Options(temperature=3))
        self.assertEqual(refused.exception.field, "temperature")
        self.assertEqual(str(refused.exception), "temperature: must be within [0, 2]")
        with self.assertRaises(hearth.NotFound):
            self.client.chat("x", model="other")


class Running(TestCase):
    """What happens in the middle of a long generation."""

    LONG = hearth.Options(temperature=0, max_tokens=8000)

    def test_leaving_a_stream_frees_its_place(self):
        with Daemon(model=SLOW) as daemon, hearth.Client(daemon.grpc[0]) as client:
            with client.stream_generate("x", options=self.LONG) as stream:
                for event in stream:
                    if isinstance(event, hearth.Delta):
                        break
                self.assertEqual(client.load().running, 1)
            end = time.monotonic() + PATIENCE
            while client.load().running and time.monotonic() < end:
                time.sleep(0.02)
            self.assertEqual(client.load().running, 0)
            with self.assertRaises(hearth.DeadlineExceeded):
                client.generate("x", options=self.LONG, timeout=0.3)

class Complete(TestCase):
    """What came with tools, constraints, numbers and control."""

    WEATHER = hearth.Tool("get_weather", "Get the current weather for a city.", {
        "type": "object", "required": ["city"], "additionalProperties": False,
        "properties": {"city": {"type": "string", "description": "The city."}}})
    OSLO = "What is the weather in Oslo?"

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="hearth-e2e-")
        cls.addClassCleanup(folder.cleanup)
        cls.daemon = Daemon("--grpc", f"unix:{folder.name}/grpc", model=demo_model.PATH)
        cls.addClassCleanup(cls.daemon.__exit__, None, None, None)
        cls.client = hearth.Client(cls.daemon.grpc[0], timeout=PATIENCE)
        cls.addClassCleanup(cls.client.close)

    def hearth(self, *arguments, stdin=""):
        return subprocess.run([CLI, *arguments, "--address", self.daemon.grpc[0]], input=stdin,
                              capture_output=True, text=True, timeout=PATIENCE, check=False)

    def test_tools_loop(self):
        messages = [hearth.Message("user", self.OSLO)]
        reply = self.client.chat(messages, tools=[self.WEATHER], options=GREEDY)
        self.assertEqual(reply.first.finish_reason, "tool_calls")
        call, = reply.tool_calls
        self.assertEqual((call.name, call.parsed_arguments()), ("get_weather", {"city": "Oslo"}))
        messages += [reply.message, hearth.Message("tool", '{"temperature": 7}',
                                                   tool_call_id=call.id)]
        self.assertIn("7", self.client.chat(messages, tools=[self.WEATHER], options=GREEDY).text)

    def test_the_cli_shows_calls(self):
        tools = self.folder / "tools.json"
        tools.write_text(json.dumps([{"type": "function", "function": {
            "name": self.WEATHER.name, "description": self.WEATHER.description,
            "parameters": self.WEATHER.parameters}}]))
        shown = self.hearth("chat", self.OSLO, "--tools", tools, "--temperature", "0")
        self.assertRegex(shown.stdout, r'^get_weather\(\{"city": ?"Oslo"\}\)\n$')

    def test_constraints(self):
        def text(constraint):
            return self.client.chat(BOILER, options=hearth.Options(
                temperature=1.5, seed=1, constraint=constraint)).text
        self.assertIn(text(hearth.OneOf(["yes", "no"])), ("yes", "no"))
        self.assertRegex(text(hearth.Regex("[0-9]{3}-[a-f]{2}")), r"^[0-9]{3}-[a-f]{2}$")
        schema = {"type": "object", "required": ["bar"], "additionalProperties": False,
                  "properties": {"bar": {"type": "integer", "minimum": 0, "maximum": 99}}}
        self.assertIn(json.loads(text(hearth.JsonSchema(schema)))["bar"], range(100))
        path = self.folder / "schema.json"
        path.write_text(json.dumps(schema))
        shown = self.hearth("chat", BOILER, "--json-schema", path)
        self.assertIn(json.loads(shown.stdout)["bar"], range(100))
        with self.assertRaises(hearth.InvalidArgument) as refused:
            text(hearth.JsonSchema({"type": "nothing"}))
        self.assertIsNotNone(refused.exception.field)

    def test_logprobs(self):
        reply = self.client.chat(BOILER, options=hearth.Options(temperature=0, top_logprobs=2))
        self.assertEqual(len(reply.first.logprobs), len(reply.first.tokens))
        for token, one in zip(reply.first.tokens, reply.first.logprobs):
            self.assertEqual((one.token.token, one.top[0].token), (token, token))
            self.assertLessEqual(one.top[1].logprob, one.top[0].logprob)

    def test_embeddings(self):
        one = self.client.embed(["The boiler is hot.", "Who are you?"]).vectors
        self.assertAlmostEqual(sum(value * value for value in one[0]), 1, 4)
        self.assertEqual(self.client.embed("The boiler is hot.").vectors[0], one[0])
        lines = self.hearth("embed", stdin="The boiler is hot.\nWho are you?\n").stdout.splitlines()
        self.assertEqual(list(array.array("f", map(float, lines[0].split()))), one[0])
        self.assertEqual(len(lines), 2)

    def test_scores(self):
        chat = [hearth.Message("user", BOILER)]
        good, bad = self.client.score(
            chat, [BOILER_ANSWER, "boiler: 71 of 65 bar, fine."]).candidates
        self.assertGreater(good.logprob, bad.logprob)
        self.assertAlmostEqual(good.logprob, sum(one.logprob for one in good.tokens), 3)
        self.assertEqual(b"".join(one.text for one in good.tokens).decode(), BOILER_ANSWER)
        shown = self.hearth("score", BOILER, BOILER_ANSWER)
        self.assertAlmostEqual(float(shown.stdout.split()[0]), good.logprob, 3)

    def test_estimates_and_rendering(self):
        usage = self.client.chat(BOILER, options=GREEDY).usage
        estimate = self.client.estimate_chat(BOILER)
        self.assertEqual((estimate.prompt_tokens, estimate.queue_position),
                         (usage.prompt_tokens, 0))
        self.assertGreater(estimate.total_ms, 0)
        rendered = self.client.render_chat(BOILER)
        self.assertEqual(len(rendered.ids), usage.prompt_tokens)
        self.assertIn(BOILER, rendered.text)
        self.assertIn(f"prompt  {usage.prompt_tokens} tokens",
                      self.hearth("estimate", BOILER).stdout)

    def test_pins(self):
        text = BOILER * 5
        kept = self.client.pin("p", text)
        self.assertEqual((kept % 32, kept > 0), (0, True))
        self.assertGreaterEqual(self.client.generate(
            text, options=hearth.Options(max_tokens=1)).usage.cached_tokens, kept)
        self.client.unpin("p")
        with self.assertRaises(hearth.NotFound):
            self.client.unpin("p")
        self.assertEqual(self.hearth("pin", "q", text, "--plain").stdout,
                         f"{kept} tokens stay cached\n")
        self.assertEqual(self.hearth("unpin", "q").returncode, 0)
        refused = self.hearth("flush")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("auth.admin_key_file", refused.stderr)
        with self.assertRaises(hearth.PermissionDenied):
            self.client.flush_cache()
        with hearth.Client(self.daemon.grpc[1], timeout=PATIENCE) as admin:
            admin.flush_cache()
        self.assertEqual(self.client.estimate_generate(text).cached_tokens, 0)

    def test_watching_the_load(self):
        loads = self.client.watch_load(0.1)
        self.assertEqual([next(loads).max_running, next(loads).max_running], [16, 16])
        loads.close()


class Ending(TestCase):

    LONG = hearth.Options(temperature=0, max_tokens=8000)

    def test_cancel_by_id_and_drain(self):
        with (Daemon("--grpc", f"unix:{self.folder}/grpc", model=SLOW) as daemon,
              hearth.Client(daemon.grpc[1]) as client):
            stream = client.stream_generate("x", options=self.LONG)
            accepted = next(stream)
            self.assertTrue(client.cancel(accepted.id))
            with self.assertRaises(hearth.Cancelled):
                stream.reply()
            end = time.monotonic() + PATIENCE
            while client.cancel(accepted.id):  # until the daemon, too, is done with it
                self.assertLess(time.monotonic(), end)
            second = client.stream_generate("x", options=self.LONG)
            accepted = next(second)
            self.assertEqual(client.drain(), 1)
            with self.assertRaises(hearth.Unavailable):
                client.generate("x")
            second.close()
            self.assertEqual(daemon.finish(), 0)
