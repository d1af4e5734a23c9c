"""Between the types of this package and the messages of the wire."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
import json
from typing import Any, TypeVar

from . import events, messages, replies
from .v1 import inference_pb2 as pb

_ROLES = {"system": pb.ROLE_SYSTEM, "user": pb.ROLE_USER, "assistant": pb.ROLE_ASSISTANT,
          "tool": pb.ROLE_TOOL}
_PRIORITIES = {"low": pb.PRIORITY_LOW, "normal": pb.PRIORITY_NORMAL, "high": pb.PRIORITY_HIGH}
_TOOL_MODES = {"auto": pb.ToolChoice.AUTO, "none": pb.ToolChoice.NONE,
               "required": pb.ToolChoice.REQUIRED}
_POOLINGS = {"mean": pb.EmbedRequest.MEAN, "last": pb.EmbedRequest.LAST}
_FINISH_REASONS: dict[int, events.FinishReason] = {
    pb.FINISH_REASON_STOP: "stop", pb.FINISH_REASON_LENGTH: "length",
    pb.FINISH_REASON_TOOL_CALLS: "tool_calls"}
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "frequency_penalty",
             "presence_penalty", "seed")
_OPTIONAL = ("max_tokens", "n", "min_tokens", "top_logprobs")

Plain = TypeVar("Plain")


def _one_of(table: dict[str, Any], name: str, value: str) -> Any:
    if value not in table:
        raise ValueError(f"{name}: expected one of {', '.join(table)}")
    return table[value]


def _texts(name: str, value: Sequence[str]) -> Sequence[str]:
    """As it is, unless it is one text, which would count as a sequence of its letters."""
    if isinstance(value, str):
        raise TypeError(f"{name}: expected a sequence of texts, found a text")
    return value


# Requests

def _message(message: messages.Message) -> pb.Message:
    if not isinstance(message, messages.Message):
        raise TypeError(f"messages: expected hearth.Message, found {type(message).__name__}")
    return pb.Message(
        role=_one_of(_ROLES, "role", message.role), content=message.content,
        tool_call_id=message.tool_call_id,
        tool_calls=[pb.ToolCall(id=call.id, name=call.name, arguments=call.arguments)
                    for call in message.tool_calls])


def _tool(tool: messages.Tool) -> pb.Tool:
    parameters = "" if tool.parameters is None else json.dumps(tool.parameters)
    return pb.Tool(name=tool.name, description=tool.description, parameters=parameters)


def _tool_choice(choice: messages.ToolChoice) -> pb.ToolChoice:
    if isinstance(choice, messages.Tool):
        return pb.ToolChoice(name=choice.name)
    if isinstance(choice, messages.AllowedTools):
        return pb.ToolChoice(mode=_one_of(_TOOL_MODES, "tool_choice", choice.mode),
                             allowed=[tool.name for tool in choice.tools])
    return pb.ToolChoice(mode=_one_of(_TOOL_MODES, "tool_choice", choice))


def _constraint(constraint: messages.Constraint) -> pb.Constraint:
    if isinstance(constraint, messages.JsonSchema):
        return pb.Constraint(json_schema=json.dumps(constraint.schema))
    if isinstance(constraint, messages.JsonObject):
        return pb.Constraint(json_object=True)
    if isinstance(constraint, messages.Regex):
        return pb.Constraint(regex=constraint.pattern)
    if isinstance(constraint, messages.OneOf):
        return pb.Constraint(
            choice=pb.Constraint.Choice(texts=_texts("OneOf.texts", constraint.texts)))
    raise TypeError("constraint: expected JsonSchema, JsonObject, Regex or OneOf, found "
                    + type(constraint).__name__)


def _options(options: messages.Options | None) -> pb.Options:
    options = options or messages.Options()
    message = pb.Options(
        stop=_texts("stop", options.stop), stop_tokens=options.stop_tokens, ignore_eos=options.ignore_eos,
        priority=_one_of(_PRIORITIES, "priority", options.priority), cache_key=options.cache_key,
        overflow=pb.OVERFLOW_DROP_OLDEST if options.drop_oldest else pb.OVERFLOW_ERROR)
    for target, names in ((message, _OPTIONAL), (message.sampling, _SAMPLING)):
        for name in names:
            value = getattr(options, name)
            if value is not None:
                setattr(target, name, value)
    message.sampling.logit_bias.update(options.logit_bias)
    if options.constraint is not None:
        message.constraint.CopyFrom(_constraint(options.constraint))
    return message


def chat(conversation: str | Sequence[messages.Message], tools: Sequence[messages.Tool] = (),
         tool_choice: messages.ToolChoice = "auto", parallel_tool_calls: bool = True,
         options: messages.Options | None = None, model: str = "") -> pb.ChatRequest:
    if isinstance(conversation, str):
        conversation = [messages.Message("user", conversation)]
    request = pb.ChatRequest(model=model, messages=map(_message, conversation),
                             tools=map(_tool, tools), options=_options(options))
    if tool_choice != "auto":
        request.tool_choice.CopyFrom(_tool_choice(tool_choice))
    if not parallel_tool_calls:
        request.parallel_tool_calls = False
    return request


def generate(prompt: str | Sequence[int], echo: bool = False,
             options: messages.Options | None = None, model: str = "") -> pb.GenerateRequest:
    return pb.GenerateRequest(model=model, echo=echo, options=_options(options),
                              **text_or_tokens(prompt))


def text_or_tokens(prompt: str | Sequence[int]) -> dict[str, Any]:
    return {"text": prompt} if isinstance(prompt, str) else {"tokens": pb.TokenIds(ids=prompt)}


def prefix(prompt: messages.Prompt, tools: Sequence[messages.Tool] = ()) -> dict[str, Any]:
    """The fields of a request that begins with any prompt."""
    if isinstance(prompt, str):
        return {"text": prompt}
    conversation = [part for part in prompt if isinstance(part, messages.Message)]
    ids = [part for part in prompt if isinstance(part, int)]
    if len(conversation) == len(prompt):
        request = chat(conversation, tools)
        request.ClearField("options")
        return {"chat": request}
    if len(ids) != len(prompt):
        raise ValueError("prefix: expected a text, token ids or messages")
    return {"tokens": pb.TokenIds(ids=ids)}


def embed(inputs: str | Sequence[str | Sequence[int]], pooling: str, model: str) -> pb.EmbedRequest:
    each = [inputs] if isinstance(inputs, str) else inputs
    if any(isinstance(one, int) for one in each):
        raise TypeError("inputs: expected a text, or a sequence of texts and of token ids")
    return pb.EmbedRequest(
        model=model, pooling=_one_of(_POOLINGS, "pooling", pooling),
        inputs=[pb.EmbedRequest.Input(**text_or_tokens(one)) for one in each])


def score(prompt: messages.Prompt, candidates: Sequence[str], tools: Sequence[messages.Tool],
          cache_key: str, model: str) -> pb.ScoreRequest:
    return pb.ScoreRequest(model=model, candidates=_texts("candidates", candidates),
                           cache_key=cache_key, **prefix(prompt, tools))


# Responses

def _copy(kind: type[Plain], message: Any) -> Plain:
    """A dataclass whose fields are the message's."""
    return kind(**{name: getattr(message, name) for name in kind.__annotations__})


def _logprob(message: Any) -> events.TokenLogprob:
    return _copy(events.TokenLogprob, message)


def _logprobs(each: Iterable[Any]) -> list[events.TokenLogprobs]:
    return [events.TokenLogprobs(_logprob(one.token) if one.HasField("token") else None,
                                 tuple(map(_logprob, one.top))) for one in each]


def event(message: Any) -> events.Event | None:
    """None for a kind of event that is newer than this client."""
    kind = message.WhichOneof("event")
    if kind == "accepted":
        return _copy(events.Accepted, message.accepted)
    if kind == "progress":
        return _copy(events.Progress, message.progress)
    if kind == "delta":
        delta = message.delta
        return events.Delta(delta.index, delta.text, tuple(delta.tokens),
                            tuple(_logprobs(delta.logprobs)))
    if kind == "tool_call":
        return _copy(events.ToolCallDelta, message.tool_call)
    if kind == "finish":
        return events.Finish(message.finish.index,
                             _FINISH_REASONS.get(message.finish.reason, "stop"),
                             message.finish.stop)
    if kind == "usage":
        return _copy(events.Usage, message.usage)
    return None


def embeddings(message: Any) -> replies.Embeddings:
    return replies.Embeddings([list(one.values) for one in message.embeddings],
                              message.prompt_tokens)


def scores(message: Any) -> replies.Scores:
    candidates = [replies.Score(one.logprob, list(map(_logprob, one.tokens)))
                  for one in message.candidates]
    return replies.Scores(candidates, message.prefix_tokens, message.cached_tokens)


def estimate(message: Any) -> replies.Estimate:
    return _copy(replies.Estimate, message)


def rendered_chat(message: Any) -> replies.RenderedChat:
    return replies.RenderedChat(list(message.ids), message.text)


def model(message: Any) -> replies.Model:
    return _copy(replies.Model, message)


def load(message: Any) -> replies.Load:
    return _copy(replies.Load, message)
