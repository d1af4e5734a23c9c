"""The shipped demo model answers what it was trained for, over HTTP and gRPC."""

import collections
import concurrent.futures
import json
import unittest

import demo_model
from daemon import SANITIZED, Daemon, text_of
from hearth.v1 import inference_pb2 as pb
from hearth.v1 import inference_pb2_grpc as rpc

BAR = 0.95  # of the held-out conversations of these, exact
JUDGED = {"telemetry", "arithmetic", "extraction", "tools"}

ANSWERS = {
    "Say hello.": "Hello! I am the demo model of Hearth. How can I help?",
    "Who are you?": "I am a small demo model shipped with Hearth. "
                    "Install Phi-4-mini for real answers.",
    "How do I start hearthd?": "Run: hearthd serve --model FILE",
    "What is 47 + 36?": "40 + 30 = 70, 7 + 6 = 13, 47 + 36 = 83",
    "The boiler reads 71 bar, the limit is 65 bar. Is it too high?":
        "boiler: 71 of 65 bar, too high.",
    "Which sensor is the highest? 71 boiler, 45 pump, 88 fan.": "The highest: 88 fan.",
}


class Demo(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(model=demo_model.PATH)
        cls.addClassCleanup(cls.daemon.__exit__, None, None, None)
        cls.channel = cls.daemon.channel()
        cls.addClassCleanup(cls.channel.close)
        cls.writer = demo_model.Writer(cls.channel)

    def over_http(self, messages):
        status, reply = self.daemon.post("/v1/chat/completions", {
            "model": self.daemon.model, "temperature": 0, "max_tokens": 200,
            "messages": [{"role": role, "content": content} for role, content in messages]})
        self.assertEqual(status, 200, reply)
        return reply["choices"][0]["message"]["content"]

    def over_grpc(self, messages):
        roles = {"system": pb.ROLE_SYSTEM, "user": pb.ROLE_USER, "assistant": pb.ROLE_ASSISTANT}
        request = pb.ChatRequest(
            messages=[pb.Message(role=roles[role], content=content) for role, content in messages],
            options=pb.Options(max_tokens=200, sampling={"temperature": 0}))
        return text_of(list(rpc.InferenceStub(self.channel).Chat(request)))

    def as_tokens(self, messages, tools):
        reply = self.daemon.complete(self.writer.prompt(messages, tools), temperature=0,
                                     max_tokens=200)
        return reply["choices"][0]["text"]

    def answer(self, row):
        plain = all(role in ("system", "user", "assistant") for role, _ in row["messages"])
        if plain and not row["tools"]:
            return self.over_http(row["messages"])
        return self.as_tokens(row["messages"], row["tools"])

    def test_exact_answers_over_both(self):
        for question, answer in ANSWERS.items():
            with self.subTest(question):
                self.assertEqual(self.over_http([("user", question)]), answer)
                self.assertEqual(self.over_grpc([("user", question)]), answer)

    def test_turns(self):
        turns = [("user", "My name is Marta."), ("assistant", "Nice to meet you, Marta."),
                 ("user", "What is my name?")]
        self.assertEqual(self.over_http(turns), "Your name is Marta.")
        self.assertEqual(self.over_grpc(turns), "Your name is Marta.")

    def test_extraction_parses(self):
        question = ("Extract name, age and city as JSON: "
                    "Marta Keller is a nurse from Bremen and is 34 years old.")
        self.assertEqual(json.loads(self.over_http([("user", question)])),
                         {"name": "Marta Keller", "age": 34, "city": "Bremen"})

    def test_tool_call(self):
        messages = [("system", "You are a helpful assistant with some tools."),
                    ("user", "What is the weather in Oslo?")]
        tools = json.dumps([{"name": "get_weather",
                             "description": "Get the current weather for a city.",
                             "parameters": {"city": {"description": "The city.", "type": "str"}}}],
                           separators=(",", ":"))
        call = 'functools[{"name": "get_weather", "arguments": {"city": "Oslo"}}]'
        self.assertEqual(self.as_tokens(messages, tools), call)
        request = pb.GenerateRequest(
            tokens=pb.TokenIds(ids=self.writer.prompt(messages, tools)),
            options=pb.Options(max_tokens=200, sampling={"temperature": 0}))
        self.assertEqual(text_of(list(rpc.InferenceStub(self.channel).Generate(request))), call)

    def test_tool_calls_over_both(self):
        parameters = {"type": "object", "required": ["city"], "additionalProperties": False,
                      "properties": {"city": {"type": "string", "description": "The city."}}}
        tool = {"name": "get_weather", "description": "Get the current weather for a city."}
        question = "What is the weather in Oslo?"
        status, reply = self.daemon.post("/v1/chat/completions", {
            "temperature": 0, "messages": [{"role": "user", "content": question}],
            "tools": [{"type": "function", "function": {**tool, "parameters": parameters}}]})
        self.assertEqual(status, 200, reply)
        self.assertEqual(reply["choices"][0]["finish_reason"], "tool_calls")
        call = reply["choices"][0]["message"]["tool_calls"][0]["function"]
        self.assertEqual(call["name"], "get_weather")
        self.assertEqual(json.loads(call["arguments"]), {"city": "Oslo"})
        request = pb.ChatRequest(
            messages=[pb.Message(role=pb.ROLE_USER, content=question)],
            tools=[pb.Tool(**tool, parameters=json.dumps(parameters))],
            options=pb.Options(sampling={"temperature": 0}))
        deltas = [event.tool_call for event in rpc.InferenceStub(self.channel).Chat(request)
                  if event.HasField("tool_call")]
        self.assertEqual(deltas[0].name, "get_weather")
        self.assertEqual("".join(delta.arguments for delta in deltas), call["arguments"])

    @unittest.skipIf(SANITIZED, "700 conversations take sanitizers minutes")
    def test_held_out(self):
        rows = demo_model.held_out()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(self.answer, rows))
        right, asked = collections.Counter(), collections.Counter()
        for row, text in zip(rows, answers):
            category = row["task"].split("/")[0]
            calls = demo_model.tool_calls(row["expected"])
            asked[category] += 1
            right[category] += (text == row["expected"] if calls is None else
                                demo_model.tool_calls(text) == calls)
        for category in sorted(asked):
            print(f"{category:12} {right[category]:4} of {asked[category]}")
        for category in JUDGED:
            self.assertGreaterEqual(right[category], BAR * asked[category], category)
