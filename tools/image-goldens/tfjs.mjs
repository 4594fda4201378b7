// Writes lines of internal/preprocess/testdata/goldens.tsv for transformers.js in Node: noise.py's pictures by its processors.
//
//     npm install @huggingface/transformers@4.2.0
//     node tools/image-goldens/tfjs.mjs >> internal/preprocess/testdata/goldens.tsv
//
// Node looks for the package beside the script: run a copy of it where the package lies.
import { createHash } from 'node:crypto';
import { CLIPImageProcessor, RawImage, SiglipImageProcessor, ViTImageProcessor } from '@huggingface/transformers';

function noise(channels, w, h) {
  const data = new Uint8ClampedArray(w * h * channels);
  let x = w;
  for (let i = 0; i < data.length; i++) {
    x = (Math.imul(1664525, x) + 1013904223) >>> 0;
    data[i] = x >>> 24;
  }
  return new RawImage(data, w, h, channels);
}

// JSON as Python writes it, so that all lines look alike.
const python = (v) => JSON.stringify(v).replace(/([:,])(?=["\d[{tf])/g, '$1 ');

// transformers.js has no defaults of its own; a line names only what differs from those of the class in Python.
const common = { do_resize: true, do_rescale: true, rescale_factor: 0.00392156862745098, do_normalize: true };
const clip = { ...common, do_center_crop: true, image_mean: [0.48145466, 0.4578275, 0.40821073], image_std: [0.26862954, 0.26130258, 0.27577711] };
const half = { ...common, image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] };
const cases = [
  [CLIPImageProcessor, clip, { resample: 3, size: { shortest_edge: 24 }, crop_size: { height: 19, width: 20 } }],
  [CLIPImageProcessor, clip, { resample: 3, size: { shortest_edge: 25 }, crop_size: { height: 32, width: 31 } }],
  [CLIPImageProcessor, clip, { resample: 0, size: { shortest_edge: 24 }, crop_size: { height: 20, width: 20 } }],
  [SiglipImageProcessor, half, { resample: 3, size: { height: 21, width: 24 } }],
  [SiglipImageProcessor, half, { resample: 2, size: { height: 24, width: 24 } }],
  [SiglipImageProcessor, half, { resample: 2, size: { height: 149, width: 384 } }],
  [SiglipImageProcessor, half, { resample: 3, size: { height: 307, width: 149 } }],
  [SiglipImageProcessor, half, { resample: 0, size: { height: 137, width: 211 } }],
  [ViTImageProcessor, half, { resample: 2, size: { height: 33, width: 35 } }],
];
const sizes = [[40, 40], [41, 20], [27, 47], [60, 33], [101, 67], [9, 7], [333, 500], [24, 24], [25, 33], [44, 41]];
const modes = { L: 1, RGB: 3, RGBA: 4 };
for (const [Processor, defaults, config] of cases) {
  for (const [mode, channels] of Object.entries(modes)) {
    for (const [w, h] of sizes) {
      let v;
      try {
        v = (await new Processor({ ...defaults, ...config })([noise(channels, w, h)])).pixel_values;
      } catch (error) {
        if (error.message.includes('bad extract area')) continue; // it can't pad one axis and crop the other
        throw error;
      }
      const bytes = Buffer.from(v.data.buffer, v.data.byteOffset, v.data.byteLength);
      const digest = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
      const full = python({ ...config, image_processor_type: Processor.name });
      console.log(['tfjs', mode, w, h, full, v.dims[3], v.dims[2], digest].join('\t'));
    }
  }
}
