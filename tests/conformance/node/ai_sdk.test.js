// Vercel's AI SDK, through its provider for OpenAI-compatible servers and that for OpenAI itself.
import assert from 'node:assert/strict';
import {test} from 'node:test';
import {createOpenAI} from '@ai-sdk/openai';
import {createOpenAICompatible} from '@ai-sdk/openai-compatible';
import {embed, generateObject, generateText, stepCountIs, streamText, tool} from 'ai';
import {z} from 'zod';
import {apiKey, baseURL, device, deviceText, greeting, model, weatherQuestion} from './served.js';

const hearth = createOpenAICompatible(
    {name: 'hearth', baseURL, apiKey, supportsStructuredOutputs: true});
const openai = createOpenAI({baseURL, apiKey});
const options = {temperature: 0, maxRetries: 0};

for (const [name, chat] of [['compatible', hearth(model)], ['openai chat', openai.chat(model)],
                            ['openai responses', openai.responses(model)]]) {
  test(`${name}: generateText and streamText`, async () => {
    const {text, finishReason, usage} =
        await generateText({model: chat, prompt: greeting, ...options});
    assert.match(text, /Hearth/);
    assert.equal(finishReason, 'stop');
    assert.ok(usage.outputTokens > 0);
    const streamed = streamText({model: chat, prompt: greeting, ...options});
    assert.equal(await streamed.text, text);
  });

  test(`${name}: generateObject`, async () => {
    const {object} = await generateObject({
      model: chat,
      prompt: deviceText,
      schema: z.object({
        device: z.string(),
        site: z.string(),
        year: z.number().int(),
        serial: z.string(),
      }),
      ...options,
    });
    assert.deepEqual(object, device);
  });

  test(`${name}: a tools loop`, async () => {
    const asked = [];
    const {text} = await generateText({
      model: chat,
      prompt: weatherQuestion,
      stopWhen: stepCountIs(3),
      tools: {
        get_weather: tool({
          description: 'Get the current weather for a city.',
          inputSchema: z.object({city: z.string()}),
          execute: async (input) => {
            asked.push(input);
            return {weather: 21.5, unit: 'C'};
          },
        }),
      },
      ...options,
    });
    assert.deepEqual(asked, [{city: 'Oslo'}]);
    assert.match(text, /21\.5/);
  });
}

test('embed', async () => {
  const {embedding} = await embed({model: hearth.textEmbeddingModel(model), value: 'one'});
  assert.ok(embedding.length > 0);
});
