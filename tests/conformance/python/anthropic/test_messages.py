"""/v1/messages through Anthropic's own SDK."""

import anthropic
import pytest

from served import (API_KEY, GREETING, MODEL, URL, WEATHER_PARAMETERS, WEATHER_QUESTION)

WEATHER = {"name": "get_weather", "description": "Get the current weather for a city.",
           "input_schema": WEATHER_PARAMETERS}


@pytest.fixture(name="client")
def make_client():
    with anthropic.Anthropic(base_url=URL, api_key=API_KEY, max_retries=0) as client:
        yield client


GREEDY = {"temperature": 0}  # this SDK does not name it any more


def ask(client, text, **fields):
    return client.messages.create(model=MODEL, max_tokens=100, extra_body=GREEDY,
                                  messages=[{"role": "user", "content": text}], **fields)


def test_create(client):
    reply = ask(client, GREETING)
    assert reply.type == "message" and reply.role == "assistant"
    assert reply.stop_reason == "end_turn"
    assert "Hearth" in reply.content[0].text
    assert reply.usage.input_tokens > 0 and reply.usage.output_tokens > 0


def test_system_and_stop_sequence(client):
    reply = ask(client, GREETING, system=[{"type": "text", "text": "Answer briefly."}],
                stop_sequences=["Hearth"])
    assert reply.stop_reason == "stop_sequence" and reply.stop_sequence == "Hearth"


def test_stream(client):
    with client.messages.stream(model=MODEL, max_tokens=100, extra_body=GREEDY,
                                messages=[{"role": "user", "content": GREETING}]) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == final.content[0].text == ask(client, GREETING).content[0].text
    assert final.stop_reason == "end_turn" and final.usage.output_tokens > 0


def test_tools_loop(client):
    messages = [{"role": "user", "content": WEATHER_QUESTION}]
    reply = client.messages.create(model=MODEL, max_tokens=100, extra_body=GREEDY, messages=messages,
                                   tools=[WEATHER])
    assert reply.stop_reason == "tool_use"
    call, = [block for block in reply.content if block.type == "tool_use"]
    assert call.name == "get_weather" and call.input == {"city": "Oslo"}
    messages += [{"role": "assistant", "content": reply.content},
                 {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id,
                                               "content": '{"weather": 21.5, "unit": "C"}'}]}]
    answer = client.messages.create(model=MODEL, max_tokens=100, extra_body=GREEDY, messages=messages,
                                    tools=[WEATHER])
    assert "21.5" in answer.content[0].text


def test_tools_streamed(client):
    with client.messages.stream(model=MODEL, max_tokens=100, extra_body=GREEDY, tools=[WEATHER],
                                messages=[{"role": "user", "content": WEATHER_QUESTION}],
                                tool_choice={"type": "any"}) as stream:
        pieces = [e.partial_json for e in stream if e.type == "input_json"]
        final = stream.get_final_message()
    call, = [block for block in final.content if block.type == "tool_use"]
    assert call.input == {"city": "Oslo"} and pieces


def test_count_tokens(client):
    count = client.messages.count_tokens(model=MODEL,
                                         messages=[{"role": "user", "content": GREETING}])
    assert count.input_tokens == ask(client, GREETING).usage.input_tokens


def test_errors(client):
    with pytest.raises(anthropic.AuthenticationError):
        ask(anthropic.Anthropic(base_url=URL, api_key="wrong", max_retries=0), "x")
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="claude", max_tokens=1,
                               messages=[{"role": "user", "content": "x"}])
    with pytest.raises(anthropic.BadRequestError):
        ask(client, "x", thinking={"type": "enabled", "budget_tokens": 1024})
