// SPDX-License-Identifier: Apache-2.0
//
// The same as bench_tokenizer, by llama.cpp through node-llama-cpp:
//   node peer_tokenizer.mjs NODE_MODULES/node-llama-cpp VOCABULARY.gguf TEXT...  →  TEXT  tokens  MB/s
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [directory, vocabulary, ...texts] = process.argv.slice(2);
const { getLlama } = await import(pathToFileURL(join(directory, 'dist', 'index.js')));
const llama = await getLlama({ gpu: false, build: 'never', logLevel: 'error' });
const model = await llama.loadModel({ modelPath: vocabulary, vocabOnly: true });
for (const path of texts) {
  const text = readFileSync(path, 'utf8');
  let best = Infinity, tokens = 0;
  for (let round = 0, spent = 0; round < 3 && spent < 20; round++) {
    const start = process.hrtime.bigint();
    tokens = model.tokenize(text, false).length;
    const seconds = Number(process.hrtime.bigint() - start) / 1e9;
    best = Math.min(best, seconds);
    spent += seconds;
  }
  console.log(`${path}\t${tokens}\t${(Buffer.byteLength(text) / best / 1e6).toFixed(2)}`);
}
process.exit(0);
