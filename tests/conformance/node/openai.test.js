// OpenAI's own SDK for JavaScript.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import OpenAI from 'openai';
import {zodFunction, zodResponseFormat, zodTextFormat} from 'openai/helpers/zod';
import {z} from 'zod';
import {apiKey, baseURL, device, deviceText, greeting, model, weatherQuestion} from './served.js';

const client = new OpenAI({baseURL, apiKey, maxRetries: 0});
const Device =
    z.object({device: z.string(), site: z.string(), year: z.number().int(), serial: z.string()});
const Weather = z.object({city: z.string()});
const ask = (content, fields = {}) => client.chat.completions.create(
    {model, messages: [{role: 'user', content}], temperature: 0, ...fields});

test('create', async () => {
  const reply = await ask(greeting);
  assert.match(reply.choices[0].message.content, /Hearth/);
  assert.equal(reply.choices[0].finish_reason, 'stop');
});

test('a stream gives the same text', async () => {
  const whole = await ask(greeting);
  let text = '';
  for await (const chunk of await ask(greeting, {stream: true})) {
    text += chunk.choices[0]?.delta?.content ?? '';
  }
  assert.equal(text, whole.choices[0].message.content);
});

test('a stream can be aborted', async () => {
  const stream = await ask(greeting, {stream: true, max_tokens: 2000, ignore_eos: true});
  for await (const chunk of stream) {
    assert.ok(chunk.id);
    break;
  }
  stream.controller.abort();
  assert.equal((await ask(greeting)).choices[0].finish_reason, 'stop');
});

test('parse with zod', async () => {
  const reply = await client.chat.completions.parse({
    model,
    messages: [{role: 'user', content: deviceText}],
    temperature: 0,
    response_format: zodResponseFormat(Device, 'device'),
  });
  assert.deepEqual(reply.choices[0].message.parsed, device);
});

test('a tools loop', async () => {
  const asked = [];
  const runner = client.chat.completions.runTools({
    model,
    messages: [{role: 'user', content: weatherQuestion}],
    temperature: 0,
    tools: [zodFunction({
      name: 'get_weather',
      description: 'Get the current weather for a city.',
      parameters: Weather,
      function: (arguments_) => {
        asked.push(arguments_);
        return {weather: 21.5, unit: 'C'};
      },
    })],
  });
  assert.match(await runner.finalContent(), /21\.5/);
  assert.deepEqual(asked, [{city: 'Oslo'}]);
});

test('responses: create, stream, parse', async () => {
  const reply = await client.responses.create({model, input: greeting, temperature: 0});
  assert.match(reply.output_text, /Hearth/);
  let text = '';
  for await (const event of await client.responses.create(
      {model, input: greeting, temperature: 0, stream: true})) {
    if (event.type === 'response.output_text.delta') text += event.delta;
  }
  assert.equal(text, reply.output_text);
  const parsed = await client.responses.parse({
    model,
    input: deviceText,
    temperature: 0,
    text: {format: zodTextFormat(Device, 'device')},
  });
  assert.deepEqual(parsed.output_parsed, device);
});

test('embeddings', async () => {
  const reply = await client.embeddings.create({model, input: ['one', 'one', 'two']});
  assert.deepEqual(reply.data[0].embedding, reply.data[1].embedding);
  assert.notDeepEqual(reply.data[0].embedding, reply.data[2].embedding);
});

test('the raw response', async () => {
  const {response} = await ask(greeting, {max_tokens: 2, nobody_knows_this: 1}).withResponse();
  assert.equal(response.headers.get('x-hearth-ignored'), 'nobody_knows_this');
});

test('errors are typed', async () => {
  await assert.rejects(new OpenAI({baseURL, apiKey: 'wrong', maxRetries: 0}).models.list(),
                       OpenAI.AuthenticationError);
  await assert.rejects(ask(greeting, {model: 'gpt-4o'}), OpenAI.NotFoundError);
  await assert.rejects(ask(greeting, {temperature: 3}), (error) => error.param === 'temperature');
});
