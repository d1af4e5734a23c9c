"""Chat completions and completions through OpenAI's own SDK."""

import json
import math

import openai
import pytest
from pydantic import BaseModel

from served import (API_KEY, BASE_URL, DEVICE, DEVICE_TEXT, GREETING, MODEL, TIMER_TOOL,
                    WEATHER_QUESTION, WEATHER_TOOL)


class Device(BaseModel):
    device: str
    site: str
    year: int
    serial: str


@pytest.fixture(name="client")
def make_client():
    with openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0) as client:
        yield client


def ask(client, text, **fields):
    return client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": text}], temperature=0, **fields)


def test_models(client):
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-4o")


def test_create(client):
    reply = ask(client, GREETING)
    assert reply.object == "chat.completion"
    assert reply.choices[0].finish_reason == "stop"
    assert "Hearth" in reply.choices[0].message.content
    usage = reply.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens_details.cached_tokens >= 0
    assert reply.system_fingerprint


def test_stream_equals_create(client):
    whole = ask(client, GREETING)
    chunks = list(ask(client, GREETING, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    finishes = [c.choices[0].finish_reason for c in chunks if c.choices and
                c.choices[0].finish_reason]
    assert finishes == ["stop"]
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == \
        whole.usage.completion_tokens
    assert len({chunk.id for chunk in chunks}) == 1


def test_stream_helper(client):
    with client.chat.completions.stream(
            model=MODEL, messages=[{"role": "user", "content": GREETING}],
            temperature=0) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "content.delta" in kinds and "content.done" in kinds
    assert final.choices[0].message.content == ask(client, GREETING).choices[0].message.content


def test_closing_a_stream_is_a_cancel(client):
    stream = ask(client, GREETING, stream=True, max_tokens=2000,
                 extra_body={"ignore_eos": True})
    next(iter(stream))
    stream.close()
    assert ask(client, GREETING).choices[0].finish_reason == "stop"


def test_n_seed_stop(client):
    fields = {"n": 3, "seed": 7, "max_tokens": 12, "temperature": 1}
    create = lambda: client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": GREETING}], **fields)
    first, second = create(), create()
    assert [c.index for c in first.choices] == [0, 1, 2]
    assert [c.message.content for c in first.choices] == [c.message.content for c in second.choices]
    cut = ask(client, GREETING, stop=["Hearth"])
    assert "Hearth" not in cut.choices[0].message.content
    assert cut.choices[0].finish_reason == "stop"


def test_logprobs(client):
    choice = ask(client, GREETING, logprobs=True, top_logprobs=3, max_tokens=5).choices[0]
    assert len(choice.logprobs.content) == 5
    for token in choice.logprobs.content:
        assert token.logprob <= 0 and len(token.top_logprobs) == 3
        assert token.top_logprobs[0].logprob == pytest.approx(token.logprob)  # greedy
    assert "".join(t.token for t in choice.logprobs.content) == choice.message.content
    chunks = ask(client, GREETING, logprobs=True, max_tokens=5, stream=True)
    streamed = [t for c in chunks for t in
                (c.choices[0].logprobs.content if c.choices[0].logprobs else [])]
    assert [t.logprob for t in streamed] == [t.logprob for t in choice.logprobs.content]


def test_parse_pydantic(client):
    reply = client.chat.completions.parse(
        model=MODEL, messages=[{"role": "user", "content": DEVICE_TEXT}], temperature=0,
        response_format=Device)
    assert reply.choices[0].message.parsed.model_dump() == DEVICE


def test_json_object(client):
    reply = ask(client, DEVICE_TEXT, response_format={"type": "json_object"})
    assert json.loads(reply.choices[0].message.content) == DEVICE


def test_schema_that_is_not_supported_is_refused(client):
    schema = {"type": "object", "properties": {"a": {"not": {}}}}
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, "x", response_format={"type": "json_schema",
                                          "json_schema": {"name": "s", "schema": schema}})
    assert "/properties/a/not" in refused.value.message


def test_tools_loop(client):
    messages = [{"role": "user", "content": WEATHER_QUESTION}]
    reply = client.chat.completions.create(model=MODEL, messages=messages, temperature=0,
                                           tools=[WEATHER_TOOL, TIMER_TOOL])
    assert reply.choices[0].finish_reason == "tool_calls"
    call, = reply.choices[0].message.tool_calls
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Oslo"}
    messages.append(reply.choices[0].message)
    messages.append({"role": "tool", "tool_call_id": call.id,
                     "content": '{"weather": 21.5, "unit": "C"}'})
    answer = client.chat.completions.create(model=MODEL, messages=messages, temperature=0,
                                            tools=[WEATHER_TOOL, TIMER_TOOL])
    assert answer.choices[0].finish_reason == "stop"
    assert "21.5" in answer.choices[0].message.content


def test_tools_streamed(client):
    with client.chat.completions.stream(
            model=MODEL, messages=[{"role": "user", "content": WEATHER_QUESTION}], temperature=0,
            tools=[WEATHER_TOOL]) as stream:
        events = list(stream)
        call, = stream.get_final_completion().choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Oslo"}
    growing = [e for e in events if e.type == "tool_calls.function.arguments.delta"]
    assert len(growing) > 1


@pytest.mark.parametrize("choice", ["required", {"type": "function",
                                                 "function": {"name": "set_timer"}}])
def test_forced_calls_validate(client, choice):
    reply = ask(client, GREETING, tools=[WEATHER_TOOL, TIMER_TOOL], tool_choice=choice,
                parallel_tool_calls=False)
    call, = reply.choices[0].message.tool_calls
    arguments = json.loads(call.function.arguments)
    if call.function.name == "set_timer":
        assert isinstance(arguments["minutes"], int) and len(arguments) == 1
    else:
        assert choice == "required" and list(arguments) == ["city"]


def test_tool_choice_none(client):
    reply = ask(client, WEATHER_QUESTION, tools=[WEATHER_TOOL], tool_choice="none")
    assert reply.choices[0].message.tool_calls is None
    assert reply.choices[0].finish_reason in ("stop", "length")


def test_regex_and_choice(client):
    reply = ask(client, "A number, please.", extra_body={"guided_regex": "[0-9]{3}-[0-9]{2}"})
    text = reply.choices[0].message.content
    assert len(text) == 6 and text[3] == "-"
    reply = ask(client, "Yes or no?", extra_body={"guided_choice": ["yes", "no"]})
    assert reply.choices[0].message.content in ("yes", "no")


def test_raw_response(client):
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=[{"role": "user", "content": GREETING}], max_tokens=3,
        extra_body={"nobody_knows_this": 1})
    assert raw.status_code == 200
    assert raw.headers["x-hearth-ignored"] == "nobody_knows_this"
    assert raw.headers["x-request-id"]
    assert raw.parse().choices[0].message.content is not None


def test_errors(client):
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=BASE_URL, api_key="wrong", max_retries=0).models.list()
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "x"}])
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client, "x", max_tokens=0)
    assert refused.value.param == "max_tokens"
    with pytest.raises(openai.BadRequestError) as long:
        ask(client, "word " * 20000)
    assert long.value.code == "context_length_exceeded"


def test_completions(client):
    reply = client.completions.create(model=MODEL, prompt=["one two", "three"], max_tokens=4, n=2,
                                      temperature=0)
    assert [c.index for c in reply.choices] == [0, 1, 2, 3]
    assert reply.choices[0].text == reply.choices[1].text


def test_completions_echo_scores_the_prompt(client):
    text = "The boiler reads 71 bar."
    reply = client.completions.create(model=MODEL, prompt=text, max_tokens=0, echo=True, logprobs=2)
    choice = reply.choices[0]
    assert choice.text == text
    assert choice.logprobs.token_logprobs[0] is None
    assert all(p <= 0 and math.isfinite(p) for p in choice.logprobs.token_logprobs[1:])
    assert "".join(choice.logprobs.tokens) == text
    assert choice.logprobs.text_offset[0] == 0


async def test_async():
    async with openai.AsyncOpenAI(base_url=BASE_URL, api_key=API_KEY) as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": GREETING}], temperature=0,
            stream=True)
        text = "".join([c.choices[0].delta.content or "" async for c in stream])
    assert "Hearth" in text
