// LangChain.js through its OpenAI package.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {HumanMessage, ToolMessage} from '@langchain/core/messages';
import {tool} from '@langchain/core/tools';
import {ChatOpenAI, OpenAIEmbeddings} from '@langchain/openai';
import {z} from 'zod';
import {apiKey, baseURL, device, deviceText, greeting, model, weatherQuestion} from './served.js';

const chat = new ChatOpenAI({model, apiKey, configuration: {baseURL}, temperature: 0});
const getWeather = tool(() => '{"weather": 21.5, "unit": "C"}', {
  name: 'get_weather',
  description: 'Get the current weather for a city.',
  schema: z.object({city: z.string()}),
});

test('invoke and stream', async () => {
  const reply = await chat.invoke(greeting);
  assert.match(reply.content, /Hearth/);
  assert.ok(reply.usage_metadata.total_tokens > 0);
  let text = '';
  for await (const chunk of await chat.stream(greeting)) text += chunk.content;
  assert.equal(text, reply.content);
});

test('a tools loop', async () => {
  const bound = chat.bindTools([getWeather]);
  const messages = [new HumanMessage(weatherQuestion)];
  const reply = await bound.invoke(messages);
  assert.deepEqual(reply.tool_calls.map(({name, args}) => ({name, args})),
                   [{name: 'get_weather', args: {city: 'Oslo'}}]);
  const result = await getWeather.invoke(reply.tool_calls[0]);
  assert.ok(result instanceof ToolMessage);
  const answer = await bound.invoke([...messages, reply, result]);
  assert.match(answer.content, /21\.5/);
});

test('structured output', async () => {
  const Device =
      z.object({device: z.string(), site: z.string(), year: z.number().int(), serial: z.string()});
  const formatted = await chat.withStructuredOutput(Device, {method: 'jsonSchema'})
                        .invoke(deviceText);
  assert.deepEqual(formatted, device);
  const called = await chat.withStructuredOutput(Device, {method: 'functionCalling'})
                     .invoke(deviceText);
  assert.doesNotThrow(() => Device.parse(called));
});

test('batches', async () => {
  const replies = await chat.batch([greeting, greeting, greeting]);
  assert.equal(new Set(replies.map((reply) => reply.content)).size, 1);
});

test('embeddings', async () => {
  const embeddings = new OpenAIEmbeddings({model, apiKey, configuration: {baseURL}});
  const [one, two] = await embeddings.embedDocuments(['one', 'two']);
  assert.equal(one.length, two.length);
});
