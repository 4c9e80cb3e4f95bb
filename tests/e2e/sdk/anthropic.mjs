// SPDX-License-Identifier: Apache-2.0
//
// Anthropic's own client against the runner.
//   HOST_URL=http://127.0.0.1:PORT MODEL=demo node --test anthropic.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import Anthropic from '@anthropic-ai/sdk';

const client = new Anthropic({ baseURL: `${process.env.HOST_URL}/anthropic`, apiKey: 'any', maxRetries: 0 });
const model = process.env.MODEL;
const messages = [{ role: 'user', content: 'How do I pull a model?' }];

test('a message', async () => {
  const answer = await client.messages.create({ model, messages, max_tokens: 200, temperature: 0 });
  assert.equal(answer.type, 'message');
  assert.equal(answer.role, 'assistant');
  assert.match(answer.content[0].text, /docker model pull ai\/smollm2/);
  assert.equal(answer.stop_reason, 'end_turn');
  assert.ok(answer.usage.output_tokens > 10);
  assert.ok(answer.usage.input_tokens + answer.usage.cache_read_input_tokens > 5);
});

test('a stream says the same', async () => {
  const whole = await client.messages.create({ model, messages, max_tokens: 200, temperature: 0 });
  const stream = client.messages.stream({ model, messages, max_tokens: 200, temperature: 0 });
  let text = '', pieces = 0;
  stream.on('text', (piece) => { text += piece; pieces++; });
  const final = await stream.finalMessage();
  assert.equal(text, whole.content[0].text);
  assert.equal(final.content[0].text, text);
  assert.equal(final.stop_reason, 'end_turn');
  assert.equal(final.usage.output_tokens, whole.usage.output_tokens);
  assert.ok(pieces > 10);
});

test('max_tokens, blocks, a system text', async () => {
  const answer = await client.messages.create({
    model, max_tokens: 3, temperature: 0, system: [{ type: 'text', text: 'Be brief.' }],
    messages: [{ role: 'user', content: [{ type: 'text', text: 'How do I pull a model?' }] }] });
  assert.equal(answer.stop_reason, 'max_tokens');
  assert.equal(answer.usage.output_tokens, 3);
});

test('tokens are counted', async () => {
  const one = await client.messages.countTokens({ model, messages });
  const two = await client.messages.countTokens({ model, messages: [{ role: 'user', content: 'How do I pull a model, and another one?' }] });
  const answer = await client.messages.create({ model, messages, max_tokens: 1 });
  assert.equal(one.input_tokens, answer.usage.input_tokens + answer.usage.cache_read_input_tokens);
  assert.ok(two.input_tokens > one.input_tokens);
});

test('errors are of the client\'s classes', async () => {
  await assert.rejects(client.messages.create({ model: 'nobody/has-this', messages, max_tokens: 1 }), (e) =>
    e instanceof Anthropic.NotFoundError && /docker model pull nobody\/has-this/.test(e.message));
  await assert.rejects(client.messages.create({ model, messages: [], max_tokens: 1 }), Anthropic.BadRequestError);
  await assert.rejects(
    client.messages.create({ model, messages, max_tokens: 1, tools: [{ type: 'web_search_20250305', name: 'web_search' }] }),
    (e) => e instanceof Anthropic.BadRequestError && /web_search_20250305/.test(e.message));
});

const tools = [{
  name: 'get_weather', description: 'The weather', input_schema: {
    type: 'object', properties: { city: { enum: ['Paris', 'Rome'] }, days: { type: 'integer', minimum: 0, maximum: 9 } },
    required: ['city', 'days'], additionalProperties: false } }];

test('tool use, and the answer to its result', async () => {
  const answer = await client.messages.create({
    model, messages, tools, tool_choice: { type: 'any', disable_parallel_tool_use: true }, max_tokens: 400 });
  assert.equal(answer.stop_reason, 'tool_use');
  const use = answer.content.find((block) => block.type === 'tool_use');
  assert.equal(use.name, 'get_weather');
  assert.deepEqual(Object.keys(use.input).sort(), ['city', 'days']);
  const next = await client.messages.create({
    model, tools, max_tokens: 3, messages: [...messages, { role: 'assistant', content: answer.content },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: 'rain' }] }] });
  assert.equal(next.stop_reason, 'max_tokens');
});

test('tool use in a stream', async () => {
  const stream = client.messages.stream({
    model, messages, tools, tool_choice: { type: 'tool', name: 'get_weather', disable_parallel_tool_use: true }, max_tokens: 400 });
  let json = '';
  stream.on('inputJson', (piece) => { json += piece; });
  const final = await stream.finalMessage();
  const use = final.content.find((block) => block.type === 'tool_use');
  assert.deepEqual(use.input, JSON.parse(json));
});

test('a stop sequence is named', async () => {
  const answer = await client.messages.create({ model, messages, max_tokens: 200, temperature: 0, stop_sequences: ['Docker Hub'] });
  assert.equal(answer.stop_reason, 'stop_sequence');
  assert.equal(answer.stop_sequence, 'Docker Hub');
});
