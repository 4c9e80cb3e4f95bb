// SPDX-License-Identifier: Apache-2.0
//
// LangChain.js against the runner.
//   BASE_URL=http://127.0.0.1:PORT/engines/v1 MODEL=demo ENCODER=encoder node --test langchain.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatOpenAI, OpenAIEmbeddings } from '@langchain/openai';
import { z } from 'zod';

const configuration = { baseURL: process.env.BASE_URL };
const options = { model: process.env.MODEL, apiKey: 'any', temperature: 0, maxRetries: 0, configuration };
const prompt = 'How do I pull a model?';

test('an answer', async () => {
  const answer = await new ChatOpenAI(options).invoke(prompt);
  assert.match(answer.content, /docker model pull ai\/smollm2/);
  assert.ok(answer.usage_metadata.output_tokens > 10);
});

test('a stream', async () => {
  let text = '';
  for await (const piece of await new ChatOpenAI(options).stream(prompt)) text += piece.content;
  assert.match(text, /Docker Hub/);
});

test('the Responses API', async () => {
  const answer = await new ChatOpenAI({ ...options, useResponsesApi: true }).invoke(prompt);
  assert.match(answer.text, /docker model pull ai\/smollm2/);
});

test('structured output', async () => {
  const schema = z.object({ n: z.number().int(), word: z.enum(['a', 'b']) });
  const model = new ChatOpenAI({ ...options, maxTokens: 400 });
  const value = await model.withStructuredOutput(schema, { method: 'jsonSchema' }).invoke(prompt);
  assert.ok(Number.isInteger(value.n) && ['a', 'b'].includes(value.word));
});

test('embeddings', async () => {
  const model = new OpenAIEmbeddings({ ...options, model: process.env.ENCODER });
  const vectors = await model.embedDocuments(['a', 'b c']);
  assert.equal(vectors.length, 2);
  assert.ok(vectors[0].every(Number.isFinite));
});

test('an error', async () => {
  await assert.rejects(new ChatOpenAI({ ...options, model: 'nobody/has-this' }).invoke(prompt), /not found/);
});

test('a tool call', async () => {
  const schema = z.object({ city: z.enum(['Paris', 'Rome']), days: z.number().int().min(0).max(9) });
  const model = new ChatOpenAI({ ...options, temperature: 0.8, maxTokens: 400 }).bindTools(
    [{ type: 'function', function: { name: 'get_weather', description: 'The weather', parameters: {
      type: 'object', properties: { city: { enum: ['Paris', 'Rome'] }, days: { type: 'integer', minimum: 0, maximum: 9 } },
      required: ['city', 'days'], additionalProperties: false } } }],
    { tool_choice: 'get_weather', parallel_tool_calls: false });
  const answer = await model.invoke(prompt);
  assert.equal(answer.tool_calls[0].name, 'get_weather');
  schema.parse(answer.tool_calls[0].args);
});
