"""A conversation to train on, and the values that decide on which side of the split it is."""

import dataclasses
import hashlib
import json
import pathlib


@dataclasses.dataclass
class Sample:
    """Roles are system, user, assistant, tool and tool_response. Loss falls on the assistant."""

    task: str  # "category/task"
    key: tuple  # the values it is made of; their hash decides whether it is held out
    messages: list  # of (role, content)
    tools: str | None = None  # JSON, written into the system message

    @property
    def category(self):
        return self.task.split("/")[0]


def held_out(sample):
    """One in sixteen combinations of task and values is never trained on."""
    text = json.dumps([sample.task, *sample.key], ensure_ascii=False)
    return hashlib.sha256(text.encode()).digest()[0] < 16


def ask(task, key, question, answer):
    return Sample(task, key, [("user", question), ("assistant", answer)])


def phrasings(text):
    """One a line."""
    return text.strip().split("\n")


def questions_and_answers(name):
    """Of a text file beside this one: ways to ask, one a line, then "= " and the answer."""
    text = (pathlib.Path(__file__).parent / name).read_text(encoding="utf-8")
    rows = []
    for block in text.strip().split("\n\n"):
        *questions, answer = block.split("\n")
        rows.append((questions, answer.removeprefix("= ")))
    return rows
