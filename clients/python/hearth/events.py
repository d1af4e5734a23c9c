"""The events of a generation: Accepted first, Progress while the prompt is computed, Delta and
ToolCallDelta as output comes, a Finish of every choice, Usage last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Union

FinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True)
class Accepted:
    id: str  # what Client.cancel takes
    model: str
    prompt_tokens: int
    seed: int  # repeat it to get the same tokens again
    system_fingerprint: str = ""  # changes when the same request may get other tokens


@dataclass(frozen=True)
class Progress:
    prompt_tokens: int
    computed_tokens: int  # cached ones included
    cached_tokens: int


@dataclass(frozen=True)
class TokenLogprob:
    token: int
    logprob: float
    text: bytes  # not always whole UTF-8


@dataclass(frozen=True)
class TokenLogprobs:
    token: TokenLogprob | None  # None for the first token of an echoed prompt
    top: tuple[TokenLogprob, ...]  # likeliest first


@dataclass(frozen=True)
class Delta:
    index: int  # choice
    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[TokenLogprobs, ...]  # of each token, where asked for


@dataclass(frozen=True)
class ToolCallDelta:
    """A part of a call. The first of each has its id and name; arguments are to be joined."""
    index: int  # choice
    call: int  # of the choice, from 0
    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Finish:
    index: int  # choice
    reason: FinishReason
    stop: str = ""  # the stop string that ended it, if one did


@dataclass(frozen=True)
class Usage:
    prompt_tokens: int = 0
    completion_tokens: int = 0  # of all choices
    cached_tokens: int = 0  # part of prompt_tokens taken from the prefix cache


Event = Union[Accepted, Progress, Delta, ToolCallDelta, Finish, Usage]
