"""A real trained model gives the text its author's program gives, whichever way it is asked."""

import concurrent.futures
import json
import unittest

from daemon import SHARED, Daemon, text_of

MODEL = SHARED / "models/stories260K.f32.gguf"
GOLDEN = SHARED / "golden/stories260K_greedy_n200.txt"


@unittest.skipUnless(MODEL.exists() and GOLDEN.exists(), f"{SHARED} is absent")
class Stories(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(model=MODEL)
        cls.addClassCleanup(cls.daemon.__exit__, None, None, None)
        # Its author's program drew 200 tokens; 199 lack the last word.
        cls.golden = GOLDEN.read_text(encoding="utf-8").removesuffix("\n").removesuffix(" she")

    def ask(self):
        reply = self.daemon.complete("", temperature=0, max_tokens=199)
        return reply["choices"][0]["text"]

    def test_completions(self):
        reply = self.daemon.complete("", temperature=0, max_tokens=199)
        self.assertEqual(reply["choices"][0]["text"], self.golden)
        self.assertEqual(reply["usage"]["prompt_tokens"], 1)
        self.assertEqual(reply["usage"]["completion_tokens"], 199)
        self.assertEqual(reply["choices"][0]["finish_reason"], "length")

    def test_streamed_completions(self):
        events = list(self.daemon.stream("/v1/completions", prompt="", temperature=0,
                                         max_tokens=199, stream_options={"include_usage": True}))
        self.assertEqual(events[-1], "[DONE]")
        chunks = [json.loads(event) for event in events[:-1]]
        text = "".join(choice["text"] for chunk in chunks for choice in chunk["choices"])
        self.assertEqual(text, self.golden)
        self.assertEqual(chunks[-1]["usage"]["completion_tokens"], 199)

    def test_grpc_generate(self):
        events = self.daemon.generate("", sampling={"temperature": 0}, max_tokens=199)
        self.assertEqual(text_of(events), self.golden)

    def test_sixteen_at_once(self):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            texts = list(pool.map(lambda _: self.ask(), range(16)))
        self.assertEqual(texts, [self.golden] * 16)
        self.daemon.wait_idle()

    def test_beside_others(self):
        """The same text while other prompts, lengths and samplings are computed with it."""
        def other(seed):
            return self.daemon.complete("Once upon a time " * (seed % 7), seed=seed,
                                        max_tokens=20 + 9 * seed)
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            others = [pool.submit(other, seed) for seed in range(10)]
            texts = [pool.submit(self.ask) for _ in range(2)]
            self.assertEqual([text.result() for text in texts], [self.golden] * 2)
            for request in others:
                request.result()

    def test_no_chat_without_a_format(self):
        status, reply = self.daemon.post("/v1/chat/completions", {
            "model": self.daemon.model, "messages": [{"role": "user", "content": "Hi"}]})
        self.assertEqual(status, 400, reply)
        self.assertIn("error", reply)
