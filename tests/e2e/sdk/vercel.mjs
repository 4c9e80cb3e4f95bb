// SPDX-License-Identifier: Apache-2.0
//
// The AI SDK with its provider for OpenAI-compatible servers, against the runner.
//   BASE_URL=http://127.0.0.1:PORT/engines/v1 MODEL=demo ENCODER=encoder node --test vercel.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embedMany, generateObject, generateText, streamText } from 'ai';
import { z } from 'zod';

const provider = createOpenAICompatible({
  name: 'runner', baseURL: process.env.BASE_URL, supportsStructuredOutputs: true });
const model = provider(process.env.MODEL);
const prompt = 'How do I pull a model?';

test('text', async () => {
  const answer = await generateText({ model, prompt, temperature: 0 });
  assert.match(answer.text, /docker model pull ai\/smollm2/);
  assert.equal(answer.finishReason, 'stop');
  assert.ok(answer.usage.outputTokens > 10);
});

test('a stream', async () => {
  const answer = streamText({ model, prompt, temperature: 0 });
  let text = '';
  for await (const piece of answer.textStream) text += piece;
  assert.match(text, /Docker Hub/);
  assert.equal(await answer.finishReason, 'stop');
});

test('an object of a schema', async () => {
  const schema = z.object({ n: z.number().int().min(0).max(9), yes: z.boolean() });
  const { object } = await generateObject({ model, prompt, schema, maxOutputTokens: 400, maxRetries: 0 });
  assert.ok(Number.isInteger(object.n) && typeof object.yes === 'boolean');
});

test('embeddings', async () => {
  const { embeddings } = await embedMany({
    model: provider.textEmbeddingModel(process.env.ENCODER), values: ['a', 'b c'] });
  assert.equal(embeddings.length, 2);
});

test('an error', async () => {
  await assert.rejects(generateText({ model: provider('nobody/has-this'), prompt, maxRetries: 0 }), /not found/);
});

test('a tool call', async () => {
  const { toolCalls } = await generateText({
    model, prompt, maxOutputTokens: 400, maxRetries: 0, toolChoice: 'required',
    providerOptions: { runner: { parallel_tool_calls: false } },
    tools: { get_weather: { description: 'The weather', inputSchema: z.object({ city: z.enum(['Paris', 'Rome']), days: z.number().int().min(0).max(9) }) } } });
  assert.equal(toolCalls[0].toolName, 'get_weather');
  assert.ok(['Paris', 'Rome'].includes(toolCalls[0].input.city));
});
