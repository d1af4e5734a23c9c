"""The synchronous client."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
import types
from typing import Any, Literal, TypeVar

import grpc

from . import _wire, errors
from ._connection import Tls, metadata, open_channel
from .events import Event
from .messages import Message, Options, Prompt, Tool, ToolChoice
from .replies import Embeddings, Estimate, Load, Model, RenderedChat, Reply, Scores
from .v1 import inference_pb2 as pb
from .v1 import inference_pb2_grpc

_rpc: Any = inference_pb2_grpc  # which has no types
Response = TypeVar("Response")


class Stream(Iterator[Event]):
    """The events of a generation. Leaving it as a context manager, or close(), before its end
    cancels the generation in the daemon. For one thread at a time, but for close()."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._reply = Reply()
        self._closed = False

    def __next__(self) -> Event:
        while not self._closed:
            try:
                event = _wire.event(next(self._call))
            except grpc.RpcError as error:
                if self._closed:
                    break
                raise errors.from_rpc(error) from None
            if event is not None:
                self._reply.add(event)
                return event
        raise StopIteration

    def reply(self) -> Reply:
        """Reads what is left; all of the generation, put together."""
        for _ in self:
            pass
        return self._reply

    def close(self) -> None:
        self._closed = True
        self._call.cancel()

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 traceback: types.TracebackType | None) -> None:
        self.close()


class Client:
    """A connection to hearthd, made with the first call and again whenever it is lost.

    `address` is "HOST:PORT", "tls:HOST:PORT" or "unix:PATH"; `timeout`, in seconds, holds for
    every call that has none of its own, streams included. Any number of threads may share
    a client. Calls raise hearth.Error and its subclasses;
    what no message can hold, such as 2**40 tokens, is a ValueError.
    """

    def __init__(self, address: str = "127.0.0.1:8081", *, key: str | None = None,
                 tls: Tls = Tls(), timeout: float | None = None) -> None:
        self._metadata = metadata(key)
        self._timeout = timeout
        self._channel = open_channel(grpc, address, tls)
        self._inference = _rpc.InferenceStub(self._channel)
        self._control = _rpc.ControlStub(self._channel)

    def close(self) -> None:
        """Ends every call that is under way."""
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 traceback: types.TracebackType | None) -> None:
        self.close()

    def _start(self, method: Any, request: Any, timeout: float | None) -> Any:
        return method(request, metadata=self._metadata,
                      timeout=self._timeout if timeout is None else timeout)

    def _call(self, method: Any, request: Any, timeout: float | None,
              convert: Callable[[Any], Response]) -> Response:
        try:
            return convert(self._start(method, request, timeout))
        except grpc.RpcError as error:
            raise errors.from_rpc(error) from None

    # Generations

    def chat(self, messages: str | Sequence[Message], *, tools: Sequence[Tool] = (),
             tool_choice: ToolChoice = "auto", parallel_tool_calls: bool = True,
             options: Options | None = None, model: str = "",
             timeout: float | None = None) -> Reply:
        """Continues a conversation; a str is one user message."""
        with self.stream_chat(messages, tools=tools, tool_choice=tool_choice,
                              parallel_tool_calls=parallel_tool_calls, options=options,
                              model=model, timeout=timeout) as stream:
            return stream.reply()

    def stream_chat(self, messages: str | Sequence[Message], *, tools: Sequence[Tool] = (),
                    tool_choice: ToolChoice = "auto", parallel_tool_calls: bool = True,
                    options: Options | None = None, model: str = "",
                    timeout: float | None = None) -> Stream:
        request = _wire.chat(messages, tools, tool_choice, parallel_tool_calls, options, model)
        return Stream(self._start(self._inference.Chat, request, timeout))

    def generate(self, prompt: str | Sequence[int], *, echo: bool = False,
                 options: Options | None = None, model: str = "",
                 timeout: float | None = None) -> Reply:
        """Continues a text or token ids."""
        with self.stream_generate(prompt, echo=echo, options=options, model=model,
                                  timeout=timeout) as stream:
            return stream.reply()

    def stream_generate(self, prompt: str | Sequence[int], *, echo: bool = False,
                        options: Options | None = None, model: str = "",
                        timeout: float | None = None) -> Stream:
        request = _wire.generate(prompt, echo, options, model)
        return Stream(self._start(self._inference.Generate, request, timeout))

    def cancel(self, id: str, *, timeout: float | None = None) -> bool:
        """Ends a generation of the same client by the id of its Accepted; False: had ended."""
        return self._call(self._inference.Cancel, pb.CancelRequest(id=id), timeout,
                          lambda response: bool(response.found))

    def estimate_chat(self, messages: str | Sequence[Message], *, tools: Sequence[Tool] = (),
                      tool_choice: ToolChoice = "auto", parallel_tool_calls: bool = True,
                      options: Options | None = None, model: str = "",
                      timeout: float | None = None) -> Estimate:
        """What chat() with the same arguments would cost now. Runs nothing."""
        request = _wire.chat(messages, tools, tool_choice, parallel_tool_calls, options, model)
        return self._call(self._inference.Estimate, pb.EstimateRequest(chat=request), timeout,
                          _wire.estimate)

    def estimate_generate(self, prompt: str | Sequence[int], *, options: Options | None = None,
                          model: str = "", timeout: float | None = None) -> Estimate:
        request = _wire.generate(prompt, False, options, model)
        return self._call(self._inference.Estimate, pb.EstimateRequest(generate=request), timeout,
                          _wire.estimate)

    # Numbers

    def embed(self, inputs: str | Sequence[str | Sequence[int]], *,
              pooling: Literal["mean", "last"] = "mean", model: str = "",
              timeout: float | None = None) -> Embeddings:
        """Texts or token ids, up to 256 of them, to vectors."""
        return self._call(self._inference.Embed, _wire.embed(inputs, pooling, model), timeout,
                          _wire.embeddings)

    def score(self, prefix: Prompt, candidates: Sequence[str], *, tools: Sequence[Tool] = (),
              cache_key: str = "", model: str = "", timeout: float | None = None) -> Scores:
        """How likely each candidate is to follow. After a conversation they are replies."""
        request = _wire.score(prefix, candidates, tools, cache_key, model)
        return self._call(self._inference.Score, request, timeout, _wire.scores)

    # Text and tokens

    def tokenize(self, text: str, *, add_special: bool = False, model: str = "",
                 timeout: float | None = None) -> list[int]:
        """As generate() would see it, with the model's BOS first if `add_special`."""
        request = pb.TokenizeRequest(model=model, text=text, add_special=add_special)
        return self._call(self._inference.Tokenize, request, timeout,
                          lambda response: list(response.ids))

    def detokenize(self, ids: Sequence[int], *, model: str = "",
                   timeout: float | None = None) -> str:
        request = pb.DetokenizeRequest(model=model, ids=ids)
        return self._call(self._inference.Detokenize, request, timeout,
                          lambda response: str(response.text))

    def render_chat(self, messages: str | Sequence[Message], *, tools: Sequence[Tool] = (),
                    model: str = "", timeout: float | None = None) -> RenderedChat:
        """What chat() would make of a conversation."""
        request = pb.RenderChatRequest(chat=_wire.chat(messages, tools, model=model))
        return self._call(self._inference.RenderChat, request, timeout, _wire.rendered_chat)

    # The daemon

    def model(self, *, timeout: float | None = None) -> Model:
        """What is served and with which limits."""
        return self._call(self._control.GetModel, pb.GetModelRequest(), timeout, _wire.model)

    def load(self, *, timeout: float | None = None) -> Load:
        """How busy the daemon is now."""
        return self._call(self._control.GetLoad, pb.GetLoadRequest(), timeout, _wire.load)

    def watch_load(self, interval: float = 1.0, *,
                   timeout: float | None = None) -> Generator[Load, None, None]:
        """The load every `interval` seconds, until the iterator is closed."""
        call = self._start(self._control.WatchLoad,
                           pb.WatchLoadRequest(interval_ms=round(interval * 1000)), timeout)
        try:
            for response in call:
                yield _wire.load(response)
        except grpc.RpcError as error:
            raise errors.from_rpc(error) from None
        finally:
            call.cancel()

    def drain(self, *, timeout: float | None = None) -> int:
        """Lets the daemon finish what runs and end; how many generations are under way. For
        admins, as the next: PermissionDenied for others."""
        return self._call(self._control.Drain, pb.DrainRequest(), timeout,
                          lambda response: int(response.under_way))

    def flush_cache(self, *, timeout: float | None = None) -> None:
        """Forgets every cached prefix that is not in use, pinned ones too."""
        self._call(self._control.FlushCache, pb.FlushCacheRequest(), timeout, lambda response: None)

    def pin(self, name: str, prefix: Prompt, *, tools: Sequence[Tool] = (), cache_key: str = "",
            timeout: float | None = None) -> int:
        """Computes a prefix and keeps it cached; how many tokens are kept."""
        request = pb.PinPrefixRequest(name=name, cache_key=cache_key, **_wire.prefix(prefix, tools))
        return self._call(self._control.PinPrefix, request, timeout,
                          lambda response: int(response.tokens))

    def unpin(self, name: str, *, timeout: float | None = None) -> None:
        """NotFound when nothing is pinned under that name."""
        self._call(self._control.UnpinPrefix, pb.UnpinPrefixRequest(name=name), timeout,
                   lambda response: None)
