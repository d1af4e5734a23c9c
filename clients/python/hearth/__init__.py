"""A client of hearthd, the local inference daemon.

    import hearth

    with hearth.Client("unix:/run/hearth/grpc.sock") as client:
        print(client.chat("Who are you?").text)
        with client.stream_chat("Count to ten.") as stream:
            for event in stream:
                if isinstance(event, hearth.Delta):
                    print(event.text, end="", flush=True)

AsyncClient has the same methods as coroutines. hearth.v1 holds the messages of the wire, whose
definition (proto/hearth/v1/inference.proto) says more of what every field means.
"""

from ._connection import Tls
from .aio import AsyncClient, AsyncStream
from .client import Client, Stream
from .errors import (Cancelled, DeadlineExceeded, Error, InvalidArgument, NotFound,
                     PermissionDenied, ResourceExhausted, Unauthenticated, Unavailable,
                     Unimplemented)
from .events import (Accepted, Delta, Event, Finish, FinishReason, Progress, TokenLogprob,
                     TokenLogprobs, ToolCallDelta, Usage)
from .messages import (AllowedTools, Constraint, JsonObject, JsonSchema, Message, OneOf, Options,
                       Prompt, Regex, Tool, ToolCall, ToolChoice)
from .replies import (Choice, Embeddings, Estimate, Load, Model, RenderedChat, Reply, Score,
                      Scores)

__all__ = [
    "Accepted", "AllowedTools", "AsyncClient", "AsyncStream", "Cancelled", "Choice", "Client",
    "Constraint", "DeadlineExceeded", "Delta", "Embeddings", "Error", "Estimate", "Event", "Finish",
    "FinishReason", "InvalidArgument", "JsonObject", "JsonSchema", "Load", "Message", "Model",
    "NotFound", "OneOf", "Options", "PermissionDenied", "Progress", "Prompt", "Regex",
    "RenderedChat", "Reply", "ResourceExhausted", "Score", "Scores", "Stream", "Tls",
    "TokenLogprob", "TokenLogprobs", "Tool", "ToolCall", "ToolCallDelta", "ToolChoice",
    "Unauthenticated", "Unavailable", "Unimplemented", "Usage",
]
