"""A daemon that says what it is told to: hearth.v1 without an engine."""

import concurrent.futures
import threading

import grpc

from hearth.v1 import error_details_pb2
from hearth.v1 import inference_pb2 as pb
from hearth.v1 import inference_pb2_grpc as rpc

PATIENCE = 20  # seconds, on a busy machine; nothing waits for it to pass


def details(code, message, name, detail):
    """Trailing metadata of an error with one detail."""
    status = error_details_pb2.RpcStatus(code=code.value[0], message=message)
    status.details.add(type_url=f"type.googleapis.com/google.rpc.{name}",
                       value=detail.SerializeToString())
    return (("grpc-status-details-bin", status.SerializeToString()),)


class ScriptedDaemon(rpc.InferenceServicer, rpc.ControlServicer):
    """`events` are what Chat and Generate send; then the call hangs, or ends with `error`, which is
    (code, message, trailing metadata) and ends every other call, too."""

    def __init__(self, events=(), *, hang=False, error=None, address="127.0.0.1:0",
                 credentials=None):
        self.events, self.hang, self.error = list(events), hang, error
        self.requests = []
        self.metadata = {}
        self.cancelled = threading.Event()
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
        rpc.add_InferenceServicer_to_server(self, self.server)
        rpc.add_ControlServicer_to_server(self, self.server)
        port = (self.server.add_secure_port(address, credentials) if credentials
                else self.server.add_insecure_port(address))
        self.address = address.replace(":0", f":{port}")
        self.server.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop(None)

    def _end(self, call):
        if self.error:
            code, message, trailing = self.error
            call.set_trailing_metadata(trailing)
            call.abort(code, message)

    def _note(self, request, call):
        self.requests.append(request)
        self.metadata = dict(call.invocation_metadata())

    def _play(self, request, call):
        call.add_callback(self.cancelled.set)
        self._note(request, call)
        yield from self.events
        while self.hang and not self.cancelled.wait(0.01):
            pass
        self._end(call)

    Chat = Generate = _play

    def _answer(self, request, call, response):
        self._note(request, call)
        self._end(call)
        return response

    def Tokenize(self, request, call):
        return self._answer(request, call, pb.TokenizeResponse(ids=request.text.encode()))

    def Detokenize(self, request, call):
        return self._answer(request, call,
                            pb.DetokenizeResponse(text=bytes(request.ids).decode()))

    def RenderChat(self, request, call):
        return self._answer(request, call, pb.RenderChatResponse(ids=[1, 2], text="<|user|>"))

    def Embed(self, request, call):
        vectors = [pb.EmbedResponse.Embedding(values=[1, 0]) for _ in request.inputs]
        return self._answer(request, call,
                            pb.EmbedResponse(embeddings=vectors, prompt_tokens=7))

    def Score(self, request, call):  # a token is a byte, and each as likely
        candidates = [pb.ScoreResponse.Candidate(
            logprob=-len(text),
            tokens=[pb.TokenLogprob(token=byte, logprob=-1, text=bytes([byte]))
                    for byte in text.encode()]) for text in request.candidates]
        return self._answer(request, call,
                            pb.ScoreResponse(candidates=candidates, prefix_tokens=9))

    def Estimate(self, request, call):
        return self._answer(request, call, pb.EstimateResponse(
            prompt_tokens=120, cached_tokens=96, max_tokens=50, queue_position=3,
            first_token_ms=400, total_ms=12500))

    def Cancel(self, request, call):
        return self._answer(request, call, pb.CancelResponse(found=request.id == "feedbeef"))

    def GetModel(self, request, call):
        return self._answer(request, call, pb.GetModelResponse(id="phi-4-mini", max_context=8192))

    def GetLoad(self, request, call):
        return self._answer(request, call, pb.GetLoadResponse(running=3, max_running=16))

    def WatchLoad(self, request, call):
        call.add_callback(self.cancelled.set)
        self._note(request, call)
        running = 0
        while not self.cancelled.is_set():
            running += 1
            yield pb.GetLoadResponse(running=running)

    def Drain(self, request, call):
        return self._answer(request, call, pb.DrainResponse(under_way=2))

    def FlushCache(self, request, call):
        return self._answer(request, call, pb.FlushCacheResponse())

    def PinPrefix(self, request, call):
        return self._answer(request, call, pb.PinPrefixResponse(tokens=64))

    def UnpinPrefix(self, request, call):
        return self._answer(request, call, pb.UnpinPrefixResponse())


def reply_events(*texts):
    """A whole generation of one choice."""
    return [
        pb.GenerateEvent(accepted=pb.Accepted(id="feedbeef", model="m", prompt_tokens=5, seed=9)),
        pb.GenerateEvent(progress=pb.Progress(prompt_tokens=5, computed_tokens=5)),
        *(pb.GenerateEvent(delta=pb.Delta(text=text, tokens=[7])) for text in texts),
        pb.GenerateEvent(finish=pb.Finish(reason=pb.FINISH_REASON_STOP)),
        pb.GenerateEvent(usage=pb.Usage(prompt_tokens=5, completion_tokens=len(texts),
                                        cached_tokens=4)),
    ]


def call_events():
    """A generation of two calls, the arguments of the first in pieces."""
    def part(**fields):
        return pb.GenerateEvent(tool_call=pb.ToolCallDelta(**fields))
    return [part(call=0, id="c0", name="weather", arguments='{"city":'),
            part(call=0, arguments='"Rome"}'),
            part(call=1, id="c1", name="now", arguments="{}"),
            pb.GenerateEvent(finish=pb.Finish(reason=pb.FINISH_REASON_TOOL_CALLS)),
            pb.GenerateEvent(usage=pb.Usage(prompt_tokens=5))]
