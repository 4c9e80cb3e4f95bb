// SPDX-License-Identifier: Apache-2.0
//
// Ollama's own client against the runner.
//   HOST_URL=http://127.0.0.1:PORT MODEL=demo ENCODER=encoder node --test ollama.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ollama } from 'ollama';

const client = new Ollama({ host: process.env.HOST_URL });
const model = process.env.MODEL;
const messages = [{ role: 'user', content: 'How do I pull a model?' }];
const options = { temperature: 0 };

test('a chat', async () => {
  const answer = await client.chat({ model, messages, options });
  assert.match(answer.message.content, /docker model pull ai\/smollm2/);
  assert.equal(answer.message.role, 'assistant');
  assert.equal(answer.done_reason, 'stop');
  assert.ok(answer.eval_count > 10 && answer.prompt_eval_count > 5 && answer.total_duration > 0);
});

test('a stream says the same', async () => {
  const whole = await client.chat({ model, messages, options });
  let text = '', last;
  for await (const part of await client.chat({ model, messages, options, stream: true })) {
    text += part.message.content;
    last = part;
  }
  assert.equal(text, whole.message.content);
  assert.ok(last.done);
  assert.equal(last.eval_count, whole.eval_count);
});

test('generate, num_predict, format', async () => {
  const cut = await client.generate({ model, prompt: messages[0].content, options: { num_predict: 3 } });
  assert.equal(cut.done_reason, 'length');
  assert.equal(cut.eval_count, 3);
  const format = { type: 'object', properties: { n: { type: 'integer', maximum: 9, minimum: 0 } }, required: ['n'] };
  const answer = await client.generate({ model, prompt: 'x', format, options: { num_predict: 400 } });
  const n = JSON.parse(answer.response).n;
  assert.ok(Number.isInteger(n) && n >= 0 && n <= 9);
});

test('load, ps, unload', async () => {
  await client.generate({ model, prompt: '', keep_alive: '1h' });
  const running = (await client.ps()).models.find((m) => m.name.includes(model));
  assert.ok(new Date(running.expires_at) > new Date(Date.now() + 3000 * 1000));
  const gone = await client.generate({ model, prompt: '', keep_alive: 0 });
  assert.equal(gone.done_reason, 'unload');
  assert.ok(!(await client.ps()).models.some((m) => m.name.includes(model)));
});

test('embeddings', async () => {
  const { embeddings } = await client.embed({ model: process.env.ENCODER, input: ['a', 'b c'] });
  assert.equal(embeddings.length, 2);
  assert.ok(Math.abs(Math.hypot(...embeddings[0]) - 1) < 1e-4);
  const { embedding } = await client.embeddings({ model: process.env.ENCODER, prompt: 'a' });
  assert.equal(embedding.length, embeddings[0].length);
});

test('list, show, copy, create, delete', async () => {
  const listed = (await client.list()).models.find((m) => m.name.endsWith(`/${model}:latest`));
  assert.ok(listed.size > 1000 && listed.digest.startsWith('sha256:'));
  const shown = await client.show({ model });
  assert.equal(shown.details.family, 'llama');
  assert.deepEqual(shown.capabilities, ['completion']);
  assert.equal(shown.model_info['general.architecture'], 'llama');
  await client.copy({ source: model, destination: 'me/copy:v1' });
  await client.create({ model: 'me/small', from: model, parameters: { num_ctx: 128 }, stream: false });
  const names = (await client.list()).models.map((m) => m.name);
  assert.ok(names.includes('docker.io/me/copy:v1') && names.includes('docker.io/me/small:latest'));
  await client.delete({ model: 'me/copy:v1' });
  await client.delete({ model: 'me/small' });
  await assert.rejects(client.delete({ model: 'me/small' }), /not found/);
});

test('errors', async () => {
  await assert.rejects(client.chat({ model: 'nobody/has-this', messages }), /docker model pull nobody\/has-this/);
  await assert.rejects(client.generate({ model, prompt: 'x', raw: true }), /'raw'/);
  await assert.rejects(client.create({ model: 'me/x', from: model, system: 'no', stream: false }), /'system'/);
});

test('a tool call', async () => {
  const tools = [{ type: 'function', function: { name: 'now', description: 'The time', parameters: { type: 'object', properties: {} } } }];
  const answer = await client.chat({ model, messages, tools, options: { ...options, num_predict: 5 } });
  assert.equal(answer.message.role, 'assistant'); // Ollama has no way to ask for a call
  const next = await client.chat({
    model, tools, options: { num_predict: 3 }, messages: [...messages,
      { role: 'assistant', content: '', tool_calls: [{ function: { name: 'now', arguments: {} } }] },
      { role: 'tool', content: '12:00', tool_name: 'now' }] });
  assert.equal(next.done_reason, 'length');
});
