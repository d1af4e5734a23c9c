"""The shipped demo model: its file, its markers, and the conversations it was never trained on."""

import json
import struct

from daemon import SOURCE
from hearth.v1 import inference_pb2 as pb
from hearth.v1 import inference_pb2_grpc as rpc

PATH = SOURCE / "deploy/demo/hearth-demo-q8_0.gguf"
HELD_OUT = SOURCE / "deploy/demo/train/held_out.jsonl"


def held_out():
    with open(HELD_OUT, encoding="utf-8") as rows:
        return [json.loads(row) for row in rows]


def tool_calls(text):
    """Calls as values, so that white space does not count; None for other text."""
    if not text.startswith("functools["):
        return None
    try:
        return json.loads(text.removeprefix("functools"))
    except ValueError:
        return None


class _Reader:
    """Values of a GGUF file, one after the other."""

    SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
               12: "d"}

    def __init__(self, data, offset):
        self.data, self.offset = data, offset

    def scalar(self, code):
        value, = struct.unpack_from("<" + code, self.data, self.offset)
        self.offset += struct.calcsize("<" + code)
        return value

    def string(self):
        size = self.scalar("Q")
        self.offset += size
        return self.data[self.offset - size:self.offset].decode()

    def value(self, kind):
        if kind == 8:
            return self.string()
        if kind == 9:
            element, count = self.scalar("I"), self.scalar("Q")
            return [self.value(element) for _ in range(count)]
        return self.scalar(self.SCALARS[kind])


def token_ids(path=PATH):
    """Spelling to id, of every token of the file."""
    reader = _Reader(path.read_bytes(), 16)
    for _ in range(reader.scalar("Q")):
        key, value = reader.string(), reader.value(reader.scalar("I"))
        if key == "tokenizer.ggml.tokens":
            return {token: id for id, token in enumerate(value)}
    raise AssertionError(f"{path} has no tokens")


class Writer:
    """Conversations as ids, tools in Phi-4-mini's form; text by the daemon's own tokenizer."""

    def __init__(self, channel):
        self.stub = rpc.InferenceStub(channel)
        self.ids = token_ids()

    def text(self, text):
        return list(self.stub.Tokenize(pb.TokenizeRequest(text=text)).ids) if text else []

    def prompt(self, messages, tools=None):
        ids = []
        for role, content in messages:
            ids += [self.ids[f"<|{role}|>"], *self.text(content.lstrip())]
            if role == "system" and tools:
                ids += [self.ids["<|tool|>"], *self.text(tools), self.ids["<|/tool|>"]]
            ids.append(self.ids["<|end|>"])
        return [*ids, self.ids["<|assistant|>"]]
