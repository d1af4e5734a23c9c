"""What LangChain's standard tests ask for, with questions that the demo model can answer."""

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from served import API_KEY, BASE_URL, DEVICE, DEVICE_TEXT, GREETING, MODEL, WEATHER_QUESTION


class Device(BaseModel):
    """A device."""

    device: str
    site: str
    year: int
    serial: str


@tool
def get_weather(city: str) -> str:
    """Get the current weather for a city."""
    return '{"city": "%s", "weather": 21.5, "unit": "C"}' % city


@pytest.fixture(name="chat")
def make_chat():
    return ChatOpenAI(model=MODEL, base_url=BASE_URL, api_key=API_KEY, temperature=0,
                      max_retries=0)


def calls_of(message):
    return [(call["name"], call["args"]) for call in message.tool_calls]


def test_tools_loop(chat):
    bound = chat.bind_tools([get_weather])
    messages = [HumanMessage(WEATHER_QUESTION)]
    reply = bound.invoke(messages)
    assert calls_of(reply) == [("get_weather", {"city": "Oslo"})]
    result = get_weather.invoke(reply.tool_calls[0])
    assert isinstance(result, ToolMessage)
    assert "21.5" in bound.invoke([*messages, reply, result]).content


def test_calls_grow_in_a_stream(chat):
    whole = None
    chunks = 0
    for chunk in chat.bind_tools([get_weather]).stream(WEATHER_QUESTION):
        assert isinstance(chunk, AIMessageChunk)
        chunks += len(chunk.tool_call_chunks)
        whole = chunk if whole is None else whole + chunk
    assert chunks > 1
    assert calls_of(whole) == [("get_weather", {"city": "Oslo"})]


def test_a_tool_that_must_be_called(chat):
    bound = chat.bind_tools([get_weather], tool_choice="get_weather", parallel_tool_calls=False)
    assert [name for name, _ in calls_of(bound.invoke(GREETING))] == ["get_weather"]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(chat, method):
    device = chat.with_structured_output(Device, method=method).invoke(DEVICE_TEXT)
    assert isinstance(device, Device)
    if method == "json_schema":
        assert device.model_dump() == DEVICE


async def test_async_batches(chat):
    replies = await chat.abatch([GREETING] * 3)
    assert len({reply.content for reply in replies}) == 1


def test_embeddings():
    embeddings = OpenAIEmbeddings(model=MODEL, base_url=BASE_URL, api_key=API_KEY,
                                  check_embedding_ctx_length=False)
    one, two = embeddings.embed_documents(["one", "two"])
    assert len(one) == len(two)
