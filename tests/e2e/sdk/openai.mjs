// SPDX-License-Identifier: Apache-2.0
//
// OpenAI's own client against the runner: what existing programs do must work unchanged.
//   BASE_URL=http://127.0.0.1:PORT/engines/v1 MODEL=demo ENCODER=encoder node --test openai.mjs
import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';

const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: 'any', maxRetries: 0 });
const model = process.env.MODEL;
const question = [{ role: 'user', content: 'How do I pull a model?' }];

test('a chat completion', async () => {
  const answer = await client.chat.completions.create({ model, messages: question, temperature: 0 });
  assert.equal(answer.object, 'chat.completion');
  assert.match(answer.choices[0].message.content, /docker model pull ai\/smollm2/);
  assert.equal(answer.choices[0].message.role, 'assistant');
  assert.equal(answer.choices[0].finish_reason, 'stop');
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
});

test('a stream says the same and ends with usage', async () => {
  const whole = await client.chat.completions.create({ model, messages: question, temperature: 0 });
  const stream = await client.chat.completions.create({
    model, messages: question, temperature: 0, stream: true, stream_options: { include_usage: true } });
  let text = '', usage = null, pieces = 0, reason = null;
  for await (const chunk of stream) {
    pieces++;
    usage = chunk.usage ?? usage;
    text += chunk.choices[0]?.delta?.content ?? '';
    reason = chunk.choices[0]?.finish_reason ?? reason;
  }
  assert.equal(text, whole.choices[0].message.content);
  assert.equal(reason, 'stop');
  assert.ok(pieces > 10);
  assert.equal(usage.completion_tokens, whole.usage.completion_tokens);
});

test('the streaming helper', async () => {
  const runner = client.chat.completions.stream({ model, messages: question, temperature: 0 });
  const final = await runner.finalChatCompletion();
  assert.match(final.choices[0].message.content, /Docker Hub/);
});

test('max_tokens, stop, n, logprobs', async () => {
  const cut = await client.chat.completions.create({ model, messages: question, max_tokens: 3 });
  assert.equal(cut.choices[0].finish_reason, 'length');
  assert.equal(cut.usage.completion_tokens, 3);
  const stopped = await client.chat.completions.create({ model, messages: question, temperature: 0, stop: ['Docker Hub'] });
  assert.ok(!stopped.choices[0].message.content.includes('Docker'));
  assert.equal(stopped.choices[0].finish_reason, 'stop');
  const two = await client.chat.completions.create({ model, messages: question, temperature: 0, n: 2, max_tokens: 5 });
  assert.equal(two.choices.length, 2);
  const logs = await client.chat.completions.create({
    model, messages: question, temperature: 0, max_tokens: 2, logprobs: true, top_logprobs: 3 });
  const first = logs.choices[0].logprobs.content[0];
  assert.equal(first.top_logprobs.length, 3);
  assert.ok(first.logprob <= 0 && first.logprob >= first.top_logprobs[1].logprob);
});

test('completions', async () => {
  const answer = await client.completions.create({ model, prompt: 'Who are you?', temperature: 0, max_tokens: 200 });
  assert.match(answer.choices[0].text, /demo model/);
});

test('embeddings', async () => {
  const input = ['hello world', 'the cat sat on the mat'];
  const answer = await client.embeddings.create({ model: process.env.ENCODER, input }); // base64 underneath
  const floats = await client.embeddings.create({ model: process.env.ENCODER, input, encoding_format: 'float' });
  assert.equal(answer.data.length, 2);
  assert.deepEqual(answer.data.map((d) => d.index), [0, 1]);
  for (const [i, d] of answer.data.entries()) {
    assert.equal(d.embedding.length, 64);
    assert.ok(Math.abs(Math.hypot(...d.embedding) - 1) < 1e-5);
    for (const [k, v] of d.embedding.entries()) assert.ok(Math.abs(v - floats.data[i].embedding[k]) < 1e-6);
  }
  assert.ok(answer.usage.prompt_tokens > 4);
  const short = await client.embeddings.create({ model: process.env.ENCODER, input: input[0], dimensions: 8 });
  assert.equal(short.data[0].embedding.length, 8);
  await assert.rejects(client.embeddings.create({ model: process.env.ENCODER, input: 'a '.repeat(500) }),
    (e) => e instanceof OpenAI.BadRequestError && /context size/.test(e.message));
  await assert.rejects(client.chat.completions.create({ model: process.env.ENCODER, messages: question }),
    (e) => e instanceof OpenAI.BadRequestError && /makes embeddings/.test(e.message));
});

test('the list of models', async () => {
  const ids = [];
  for await (const m of client.models.list()) ids.push(m.id);
  assert.ok(ids.includes('docker.io/ai/demo:latest'), ids.join());
  assert.equal((await client.models.retrieve('demo')).owned_by, 'docker');
});

test('errors are the errors of the SDK', async () => {
  await assert.rejects(client.chat.completions.create({ model: 'no/such', messages: question }),
    (e) => e instanceof OpenAI.NotFoundError && /model not found/.test(e.message));
  await assert.rejects(client.chat.completions.create({ model, messages: question, temperature: 'hot' }),
    (e) => e instanceof OpenAI.BadRequestError && /temperature/.test(e.message));
  await assert.rejects(client.chat.completions.create({
    model, messages: [{ role: 'user', content: 'word '.repeat(4000) }] }),
    (e) => e instanceof OpenAI.BadRequestError && /context size/.test(e.message));
});

test('an aborted stream frees the model', async () => {
  for (let i = 0; i < 5; i++) {
    const stream = await client.chat.completions.create({
      model, messages: question, stream: true, max_tokens: 2000, ignore_eos: true });
    for await (const _ of stream) { stream.controller.abort(); break; }
  }
  const answer = await client.chat.completions.create({ model, messages: question, temperature: 0 });
  assert.match(answer.choices[0].message.content, /smollm2/);
});

test('eight at once', async () => {
  const alone = await client.chat.completions.create({ model, messages: question, temperature: 0 });
  const all = await Promise.all(Array.from({ length: 8 }, () =>
    client.chat.completions.create({ model, messages: question, temperature: 0 })));
  for (const a of all) assert.equal(a.choices[0].message.content, alone.choices[0].message.content);
});

test('the Responses API: an answer, and one that continues it', async () => {
  const first = await client.responses.create({ model, input: question[0].content, temperature: 0 });
  assert.match(first.output_text, /docker model pull ai\/smollm2/);
  assert.equal(first.status, 'completed');
  assert.equal(first.usage.total_tokens, first.usage.input_tokens + first.usage.output_tokens);
  const next = await client.responses.create({
    model, input: 'And then?', previous_response_id: first.id, max_output_tokens: 2 });
  assert.ok(next.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens - 5);
  assert.equal(next.status, 'incomplete');
  const items = await client.responses.inputItems.list(next.id);
  assert.equal(items.data.length, 3);
  const kept = await client.responses.retrieve(first.id);
  assert.equal(kept.id, first.id);
  assert.deepEqual(kept.output, first.output);
  await client.responses.delete(first.id);
  await assert.rejects(client.responses.retrieve(first.id), OpenAI.NotFoundError);
  await assert.rejects(client.responses.create({ model, input: 'x', previous_response_id: first.id }),
                       OpenAI.BadRequestError);
});

test('the Responses API: a stream, and a schema', async () => {
  const stream = client.responses.stream({ model, input: question[0].content, temperature: 0 });
  let text = '';
  stream.on('response.output_text.delta', (event) => { text += event.delta; });
  const final = await stream.finalResponse();
  assert.match(text, /Docker Hub/);
  assert.equal(final.output_text, text);
  const schema = { type: 'object', properties: { n: { type: 'integer' } }, required: ['n'], additionalProperties: false };
  const answer = await client.responses.create({
    model, input: 'x', max_output_tokens: 400, text: { format: { type: 'json_schema', name: 'n', schema } } });
  assert.ok(Number.isInteger(JSON.parse(answer.output_text).n));
  await assert.rejects(client.responses.create({ model: 'nobody/has-this', input: 'x' }), OpenAI.NotFoundError);
});

const weather = { type: 'object', properties: { city: { enum: ['Paris', 'Rome'] }, days: { type: 'integer', minimum: 0, maximum: 9 } },
                  required: ['city', 'days'], additionalProperties: false };
const tools = [{ type: 'function', function: { name: 'get_weather', description: 'The weather', parameters: weather } }];

const checkArguments = (text) => {
  const value = JSON.parse(text);
  assert.deepEqual(Object.keys(value).sort(), ['city', 'days']);
  assert.ok(['Paris', 'Rome'].includes(value.city) && value.days >= 0 && value.days <= 9);
};

test('a tool call, and the answer to its result', async () => {
  const answer = await client.chat.completions.create({
    model, messages: question, tools, tool_choice: 'required', parallel_tool_calls: false, max_tokens: 400, seed: 1 });
  const choice = answer.choices[0];
  assert.equal(choice.finish_reason, 'tool_calls');
  assert.equal(choice.message.content, null);
  const call = choice.message.tool_calls[0];
  assert.equal(call.function.name, 'get_weather');
  checkArguments(call.function.arguments);
  const next = await client.chat.completions.create({
    model, tools, max_tokens: 3, messages: [...question, choice.message, { role: 'tool', tool_call_id: call.id, content: 'rain' }] });
  assert.ok(next.usage.prompt_tokens > answer.usage.prompt_tokens);
});

test('a tool call in a stream', async () => {
  const stream = client.chat.completions.stream({
    model, messages: question, tools, tool_choice: { type: 'function', function: { name: 'get_weather' } },
    parallel_tool_calls: false, max_tokens: 200, seed: 2 });
  let pieces = 0;
  stream.on('tool_calls.function.arguments.delta', () => { pieces++; });
  const message = await stream.finalMessage();
  checkArguments(message.tool_calls[0].function.arguments);
  assert.ok(pieces > 2);
});

test('the Responses API: a function call', async () => {
  const functions = [{ type: 'function', name: 'get_weather', parameters: weather, strict: true }];
  const stream = client.responses.stream({
    model, input: question[0].content, max_output_tokens: 400, parallel_tool_calls: false, tool_choice: 'required',
    tools: functions });
  let text = '';
  stream.on('response.function_call_arguments.delta', (event) => { text += event.delta; });
  const final = await stream.finalResponse();
  const call = final.output.find((item) => item.type === 'function_call');
  assert.equal(call.name, 'get_weather');
  assert.equal(call.arguments, text);
  checkArguments(text);
  const next = await client.responses.create({
    model, previous_response_id: final.id, max_output_tokens: 2, tools: functions,
    input: [{ type: 'function_call_output', call_id: call.call_id, output: 'rain' }] });
  assert.ok(next.usage.input_tokens > final.usage.input_tokens);
});

test('tools that cannot be are refused', async () => {
  await assert.rejects(client.chat.completions.create({ model, messages: question, tool_choice: 'required' }), OpenAI.BadRequestError);
  const bad = [{ type: 'function', function: { name: 'f', strict: true, parameters: { type: 'object', propertyNames: {} } } }];
  await assert.rejects(client.chat.completions.create({ model, messages: question, tools: bad }),
                       (e) => e instanceof OpenAI.BadRequestError && /propertyNames/.test(e.message));
});
