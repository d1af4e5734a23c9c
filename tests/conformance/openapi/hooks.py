"""What schemathesis has to know of hearthd beside its document."""

import json

import schemathesis
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode

# A format of the document: the text of a JSON object.
schemathesis.openapi.format(
    "json-object",
    st.dictionaries(st.text(st.characters(codec="ascii", categories=["L"]), max_size=4),
                    st.integers() | st.text(max_size=4), max_size=3).map(json.dumps))


CONSTRAINTS = ("response_format", "guided_json", "guided_regex", "guided_choice",
               "structured_outputs")


def untangle(body):
    """Makes fields agree that a JSON Schema lets contradict each other, so that cases get further."""
    for limit in ("max_tokens", "max_completion_tokens", "max_output_tokens"):
        if isinstance(body.get(limit), int):
            body[limit] = min(max(body[limit], 1), 16)
    for share in ("top_p", "repetition_penalty"):  # what is 0 as a float is refused
        if body.get(share) is not None:
            body[share] = max(body[share], 0.01)
    messages = body.get("messages")
    if messages and messages[-1]["role"] == "assistant":
        messages.append({"role": "user", "content": ""})
    if body.get("max_tokens"):
        body.pop("max_completion_tokens", None)
    if body.get("top_logprobs") is not None and "logprobs" in body:
        body["logprobs"] = True
    if not body.get("stream"):
        body.pop("stream_options", None)
        body.pop("return_progress", None)
    if not body.get("guided_regex"):
        body.pop("guided_regex", None)  # allows the empty text alone
    given = [name for name in CONSTRAINTS if body.get(name) is not None]
    for name in given[1:]:
        del body[name]
    if given or body.get("text") or body.get("output_config"):
        body.pop("tools", None)
    if not body.get("tools") and body.get("tool_choice") is not None:
        del body["tool_choice"]


@schemathesis.hook
def before_call(_context, case, _kwargs):
    """The one model there is, where a case names any, and a deadline that can be met."""
    timeout = str(case.headers.get("x-hearth-timeout-ms", ""))
    if timeout.isascii() and timeout.isdigit() and 0 < int(timeout) < 60_000:
        case.headers["x-hearth-timeout-ms"] = "60000"
    if not isinstance(case.body, dict):
        return
    if isinstance(case.body.get("model"), str):
        case.body["model"] = case.body["model"] and "demo"
    if is_valid(case):
        untangle(case.body)


def is_valid(case):
    return case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE


# Why a request that meets its schema may be refused: what no JSON Schema says.
FORESEEN = (
    "context",  # prompt and output do not fit
    "are more than",  # likewise
    "must be within [0, ", "must be within [-1, ",  # the size of the vocabulary
    "choices, of all prompts together",
    "must be an integer",  # 5.0, and what has more than 64 bits
    "must be a string, a list of token ids",  # likewise
    "bytes",  # a limit that is not of characters
    "this keyword is not supported",  # of a JSON Schema
    "no document can meet it",  # likewise
    "nothing but the empty text is allowed",  # an expression, or choices, of nothing
    "among the tools", "is the name of an earlier tool",
    "does not go with", "is only allowed with", "asks for another limit",
    "no such model",  # the one there is has a name of its own
)


@schemathesis.check
def valid_requests_are_served(_ctx, response, case):
    if is_valid(case) and response.status_code >= 400:
        message = json.loads(response.content)["error"]["message"]
        assert any(reason in message for reason in FORESEEN), (
            f"refused a request that meets its schema: {message}")
