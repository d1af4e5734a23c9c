"""The Responses API through OpenAI's own SDK."""

import json

import openai
import pytest
from pydantic import BaseModel

from served import (API_KEY, BASE_URL, DEVICE, DEVICE_TEXT, GREETING, MODEL, WEATHER_PARAMETERS,
                    WEATHER_QUESTION)

WEATHER = {"type": "function", "name": "get_weather", "strict": True,
           "description": "Get the current weather for a city.", "parameters": WEATHER_PARAMETERS}


class Device(BaseModel):
    device: str
    site: str
    year: int
    serial: str


@pytest.fixture(name="client")
def make_client():
    with openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0) as client:
        yield client


def test_create(client):
    reply = client.responses.create(model=MODEL, input=GREETING, temperature=0)
    assert reply.status == "completed"
    assert "Hearth" in reply.output_text
    assert reply.usage.total_tokens == reply.usage.input_tokens + reply.usage.output_tokens


def test_instructions_and_items(client):
    reply = client.responses.create(
        model=MODEL, instructions="You help the operators of a plant.", temperature=0,
        input=[{"role": "user", "content": [{"type": "input_text", "text": GREETING}]}])
    assert reply.output_text


def test_stream_in_order(client):
    events = list(client.responses.create(model=MODEL, input=GREETING, temperature=0, stream=True))
    assert [e.sequence_number for e in events] == list(range(len(events)))
    kinds = [e.type for e in events]
    assert kinds[:4] == ["response.created", "response.in_progress", "response.output_item.added",
                         "response.content_part.added"]
    assert kinds[-4:] == ["response.output_text.done", "response.content_part.done",
                          "response.output_item.done", "response.completed"]
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == events[-1].response.output_text


def test_parse(client):
    reply = client.responses.parse(model=MODEL, input=DEVICE_TEXT, temperature=0,
                                   text_format=Device)
    assert reply.output_parsed.model_dump() == DEVICE


def test_tools_loop(client):
    items = [{"role": "user", "content": WEATHER_QUESTION}]
    reply = client.responses.create(model=MODEL, input=items, temperature=0, tools=[WEATHER])
    call, = [item for item in reply.output if item.type == "function_call"]
    assert json.loads(call.arguments) == {"city": "Oslo"}
    items += reply.output
    items.append({"type": "function_call_output", "call_id": call.call_id,
                  "output": '{"weather": 21.5, "unit": "C"}'})
    answer = client.responses.create(model=MODEL, input=items, temperature=0, tools=[WEATHER])
    assert "21.5" in answer.output_text


def test_incomplete(client):
    reply = client.responses.create(model=MODEL, input=GREETING, max_output_tokens=2)
    assert reply.status == "incomplete"
    assert reply.incomplete_details.reason == "max_output_tokens"


def test_state_is_refused(client):
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model=MODEL, input="x", previous_response_id="resp_1")
    assert refused.value.param == "previous_response_id"
