"""Embeddings through OpenAI's own SDK."""

import math

import openai
import pytest

from served import API_KEY, BASE_URL, MODEL


@pytest.fixture(name="client")
def make_client():
    with openai.OpenAI(base_url=BASE_URL, api_key=API_KEY, max_retries=0) as client:
        yield client


def test_embeddings(client):
    texts = ["The boiler is hot.", "The boiler is hot.", "Book a meeting on Monday."]
    reply = client.embeddings.create(model=MODEL, input=texts)  # base64 beneath
    assert [row.index for row in reply.data] == [0, 1, 2]
    a, b, c = (row.embedding for row in reply.data)
    assert a == b != c
    assert math.fsum(x * x for x in a) == pytest.approx(1, abs=1e-5)
    floats = client.embeddings.create(model=MODEL, input=texts[0], encoding_format="float")
    assert floats.data[0].embedding == pytest.approx(a)
    assert reply.usage.prompt_tokens > 0


def test_dimensions_are_refused(client):
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model=MODEL, input="x", dimensions=8)
    assert refused.value.param == "dimensions"
