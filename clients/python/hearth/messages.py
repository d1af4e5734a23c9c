"""What is asked of the daemon. A field that is left out, or None, is the daemon's to decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
import json
from typing import Any, Literal, Union


@dataclass(frozen=True)
class ToolCall:
    id: str
    name: str
    arguments: str  # a JSON object

    def parsed_arguments(self) -> dict[str, Any]:
        """The arguments as a dict; ValueError for a call that was cut off."""
        arguments = json.loads(self.arguments)
        if not isinstance(arguments, dict):
            raise ValueError("the arguments are not a JSON object")
        return arguments


@dataclass(frozen=True)
class Message:
    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    tool_calls: Sequence[ToolCall] = ()  # of "assistant": the calls it made
    tool_call_id: str = ""  # of "tool": the call it answers


@dataclass(frozen=True)
class Tool:
    """A function that the model may call."""
    name: str
    description: str = ""
    # JSON Schema of an object, which calls always meet; None: any object.
    parameters: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class AllowedTools:
    """Of the tools that are shown, only these may be called."""
    tools: Sequence[Tool]
    mode: Literal["auto", "required"] = "auto"


# Whether the model calls tools; a Tool: exactly this one.
ToolChoice = Union[Literal["auto", "none", "required"], Tool, AllowedTools]


@dataclass(frozen=True)
class JsonSchema:
    """The text is JSON that meets the schema."""
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class JsonObject:
    """The text is a JSON object."""


@dataclass(frozen=True)
class Regex:
    """The text is a match of the pattern."""
    pattern: str


@dataclass(frozen=True)
class OneOf:
    """The text is one of these."""
    texts: Sequence[str]


Constraint = Union[JsonSchema, JsonObject, Regex, OneOf]

# What a generation, a score or a pin begins with: a text as it is, token ids, or a conversation.
Prompt = Union[str, Sequence[int], Sequence[Message]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a generation goes on and ends."""
    max_tokens: int | None = None
    n: int | None = None  # choices
    temperature: float | None = None  # 0 always takes the likeliest token
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    seed: int | None = None  # the same seed and request give the same reply
    stop: Sequence[str] = ()
    stop_tokens: Sequence[int] = ()
    min_tokens: int | None = None
    ignore_eos: bool = False
    top_logprobs: int | None = None  # log-probabilities, of so many others beside each token
    constraint: Constraint | None = None
    priority: Literal["low", "normal", "high"] = "normal"
    cache_key: str = ""  # prefixes are shared only between requests with the same key
    drop_oldest: bool = False  # when the context is full, instead of an error
