// Anthropic's own SDK for JavaScript.
import Anthropic from '@anthropic-ai/sdk';
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {apiKey, greeting, model, url} from './served.js';

const client = new Anthropic({baseURL: url, apiKey, maxRetries: 0});
const asked =
    {model, max_tokens: 100, temperature: 0, messages: [{role: 'user', content: greeting}]};

test('create and stream', async () => {
  const reply = await client.messages.create(asked);
  assert.match(reply.content[0].text, /Hearth/);
  assert.equal(reply.stop_reason, 'end_turn');
  const streamed = await client.messages.stream(asked).finalMessage();
  assert.deepEqual(streamed.content, reply.content);
});

test('count tokens', async () => {
  const {input_tokens: counted} =
      await client.messages.countTokens({model, messages: asked.messages});
  assert.equal(counted, (await client.messages.create(asked)).usage.input_tokens);
});
