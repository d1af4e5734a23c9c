"""What the daemon answers."""

from __future__ import annotations

from dataclasses import dataclass, field

from .events import (Accepted, Delta, Event, Finish, FinishReason, TokenLogprob, TokenLogprobs,
                     ToolCallDelta, Usage)
from .messages import Message, ToolCall


@dataclass
class Choice:
    text: str = ""
    tokens: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprobs] = field(default_factory=list)  # of each token, where asked for
    tool_calls: list[ToolCall] = field(default_factory=list)
    finish_reason: FinishReason | None = None  # None: not finished
    stop: str = ""  # the stop string that ended it, if one did

    @property
    def message(self) -> Message:
        """As it continues the conversation."""
        return Message("assistant", self.text, tool_calls=tuple(self.tool_calls))


@dataclass
class Reply:
    """A generation put together. Its text, tool calls and message are the first choice's."""
    accepted: Accepted | None = None
    choices: list[Choice] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)

    @property
    def first(self) -> Choice:
        return self.choices[0] if self.choices else Choice()

    @property
    def text(self) -> str:
        return self.first.text

    @property
    def tool_calls(self) -> list[ToolCall]:
        return self.first.tool_calls

    @property
    def message(self) -> Message:
        return self.first.message

    def add(self, event: Event) -> None:
        """What an event adds."""
        if isinstance(event, Accepted):
            self.accepted = event
        elif isinstance(event, Usage):
            self.usage = event
        elif isinstance(event, Delta):
            choice = self._choice(event.index)
            choice.text += event.text
            choice.tokens += event.tokens
            choice.logprobs += event.logprobs
        elif isinstance(event, ToolCallDelta):
            _add_call(self._choice(event.index).tool_calls, event)
        elif isinstance(event, Finish):
            choice = self._choice(event.index)
            choice.finish_reason, choice.stop = event.reason, event.stop

    def _choice(self, index: int) -> Choice:
        if not 0 <= index <= len(self.choices) + 3:  # choices are few and may begin in any order
            raise ValueError(f"choice {index} of a reply of {len(self.choices)}")
        while len(self.choices) <= index:
            self.choices.append(Choice())
        return self.choices[index]


def _add_call(calls: list[ToolCall], delta: ToolCallDelta) -> None:
    if delta.call == len(calls):
        calls.append(ToolCall(delta.id, delta.name, delta.arguments))
    elif 0 <= delta.call < len(calls):
        call = calls[delta.call]
        calls[delta.call] = ToolCall(call.id or delta.id, call.name or delta.name,
                                     call.arguments + delta.arguments)
    else:
        raise ValueError(f"call {delta.call} after {len(calls)} calls")


@dataclass(frozen=True)
class Embeddings:
    vectors: list[list[float]]  # as the inputs, each of length 1 by the Euclidean norm
    prompt_tokens: int


@dataclass(frozen=True)
class Score:
    logprob: float  # sum over its tokens
    tokens: list[TokenLogprob]


@dataclass(frozen=True)
class Scores:
    candidates: list[Score]  # as asked
    prefix_tokens: int
    cached_tokens: int


@dataclass(frozen=True)
class Estimate:
    prompt_tokens: int
    cached_tokens: int
    max_tokens: int  # per choice
    queue_position: int  # 0: it would start at once
    first_token_ms: int  # 0 before the first generation, likewise below
    total_ms: int  # with max_tokens generated


@dataclass(frozen=True)
class RenderedChat:
    ids: list[int]
    text: str  # markers as they are spelt


@dataclass(frozen=True)
class Model:
    id: str
    architecture: str
    parameters: int
    weight_type: str
    vocab_size: int
    max_context: int
    default_max_tokens: int
    chat_format: str  # empty: no chat
    kv_type: str
    weight_bytes: int
    kv_bytes: int
    isa: str
    threads: int
    system_fingerprint: str  # as of Accepted


@dataclass(frozen=True)
class Load:
    queued: int
    running: int
    max_running: int
    max_queued: int
    kv_blocks_total: int
    kv_blocks_used: int
    kv_blocks_cached: int
    prompt_tokens: int  # computed since start, and generated, and taken from the prefix cache
    generated_tokens: int
    kv_blocks_pinned: int
    prompt_tokens_cached: int
    draining: bool
