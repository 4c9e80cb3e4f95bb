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

test('an abort ends a stream', async () => {
  const stream = client.messages.stream({ model, messages, max_tokens: 200 });
  stream.on('text', () => stream.abort());
  await assert.rejects(stream.finalMessage(), Anthropic.APIUserAbortError);
});
