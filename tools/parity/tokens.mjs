// Writes token ids of transformers.js for programs.py: node tokens.mjs GOLDEN HF5.json OUT.json
//
// Node looks for the package (npm install @huggingface/transformers@4.2.0) beside the script: run a copy of it where that lies.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AutoTokenizer, env } from '@huggingface/transformers';

const [golden, lines5, out] = process.argv.slice(2);
env.localModelPath = golden;
env.allowRemoteModels = false;
const { lines, ids } = JSON.parse(readFileSync(lines5));
const result = { lines, ids: {} };
for (const name of Object.keys(ids)) {
  if (!existsSync(join(golden, name, 'tokenizer.json')) || !existsSync(join(golden, name, 'tokenizer_config.json'))) continue;
  const tokenizer = await AutoTokenizer.from_pretrained(name);
  result.ids[name] = lines.map((line) => tokenizer.encode(line));
}
writeFileSync(out, JSON.stringify(result));
