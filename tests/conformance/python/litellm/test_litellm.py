"""LiteLLM, as a proxy or a program uses it for a server of its own."""

import json
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the network for one

import litellm  # pylint: disable=wrong-import-position

from served import API_KEY, BASE_URL, GREETING, MODEL, WEATHER_QUESTION, WEATHER_TOOL

SERVER = {"model": "hosted_vllm/" + MODEL, "api_base": BASE_URL, "api_key": API_KEY,
          "temperature": 0}


def test_completion():
    reply = litellm.completion(messages=[{"role": "user", "content": GREETING}], **SERVER)
    assert "Hearth" in reply.choices[0].message.content


def test_stream():
    chunks = list(litellm.completion(messages=[{"role": "user", "content": GREETING}], stream=True,
                                     **SERVER))
    whole = litellm.stream_chunk_builder(chunks)
    assert "Hearth" in whole.choices[0].message.content


def test_tools():
    reply = litellm.completion(messages=[{"role": "user", "content": WEATHER_QUESTION}],
                               tools=[WEATHER_TOOL], tool_choice="auto", **SERVER)
    call, = reply.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Oslo"}


def test_text_completion():
    reply = litellm.text_completion(model="text-completion-openai/" + MODEL, api_base=BASE_URL,
                                    api_key=API_KEY, prompt="one two", max_tokens=3)
    assert reply.usage.completion_tokens == 3 or reply.choices[0].finish_reason == "stop"


def test_embedding():
    reply = litellm.embedding(model="hosted_vllm/" + MODEL, api_base=BASE_URL, api_key=API_KEY,
                              input=["one"])
    assert len(reply.data) == 1
