// Writes the pixel values of transformers.js for answers.py: node tfjs.mjs REPOSITORY GOLDEN OUT
//
// Node looks for the package (npm install @huggingface/transformers@4.2.0) beside the script: run a copy of it where that lies.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { CLIPImageProcessor, RawImage, SiglipImageProcessor } from '@huggingface/transformers';

const [root, golden, out] = process.argv.slice(2);
const classes = { CLIPImageProcessor, SiglipImageProcessor };
const samples = 'internal/imageio/testdata/samples/';
const pictures = ['testdata/owl.png', ...['RGBA.png', 'P.png', 'L.png', 'I16.png', '1.png'].map((name) => samples + name)];
mkdirSync(out, { recursive: true });
for (const checkpoint of ['tools/demo-model/checkpoint', 'siglip', 'siglip2-fixed']) {
  const folder = join(checkpoint.startsWith('tools') ? root : golden, checkpoint);
  const config = JSON.parse(readFileSync(join(folder, 'preprocessor_config.json')));
  for (const name of pictures) {
    const image = await RawImage.fromBlob(new Blob([readFileSync(join(root, name))]));
    const { pixel_values: v } = await new classes[config.image_processor_type](config)([image]);
    const file = checkpoint.replaceAll('/', '_') + '_' + basename(name) + '.bin';
    writeFileSync(join(out, file), Buffer.from(v.data.buffer, v.data.byteOffset, v.data.byteLength));
  }
}
