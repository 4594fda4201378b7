"""Writes what transformers answers about the shipped pictures: python goldens.py [--checkpoint DIR] [--out DIR]

Everything is computed in float32 from the float16 weights as stored, with the Pillow image processor.
expected.json has the same fields as other CLIP goldens: images, texts, ids (padded and not), unit embeddings, logits,
and the pipeline's answers. pixel_values.npy is float32 [images, 3, height, width].
"""

import argparse
import json
import os

import numpy as np
import torch
import transformers
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer, pipeline

HERE = os.path.dirname(os.path.abspath(__file__))
PICTURES = ["owl.png", "car.png", "cat.png", "pizza.png", "guitar.png", "rocket.png"]
TEXTS = [
    "This is a photo of owl.",
    "This is a photo of car.",
    "a photo of a cat",
    "Pizza",
    "  a   GUITAR\n(red)!  ",
    "rocket",
    "",
    "seagull",
    "smiling face with heart-eyes",
    "it's 100% naïve — café",
    "cafe\u0301",
    "猫の写真",
    "صورة بومة",
    "🦉",
    "👩‍🚀 🏳️‍🌈",
    "<|startoftext|> owl <|endoftext|>",
    "supercalifragilisticexpialidocious",
]
TOO_LONG = "a photo of " + "an owl and a car and " * 12 + "a cat"
CASES = [
    (["fox", "bear", "seagull", "owl"], "This is a photo of {}."),
    (["tree", "car", "bike", "cat"], "This is a photo of {}."),
    (["owl", "car", "cat", "pizza", "guitar", "rocket"], "a photo of a {}"),
    (["owl", "Owl", "bird", "🦉", "", "owl"], "{}"),
]


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description="write the demo model's expected answers")
    parser.add_argument("--checkpoint", default=os.path.join(HERE, "checkpoint"))
    parser.add_argument("--pictures", default=os.path.join(HERE, "..", "..", "testdata"))
    parser.add_argument("--out", default=os.path.join(HERE, "..", "..", "testdata", "demo"))
    args = parser.parse_args()
    torch.set_num_threads(1)

    model = CLIPModel.from_pretrained(args.checkpoint, dtype=torch.float32).eval()
    tokenizer = CLIPTokenizer.from_pretrained(args.checkpoint)
    processor = CLIPImageProcessorPil.from_pretrained(args.checkpoint)
    pictures = [Image.open(os.path.join(args.pictures, p)).convert("RGB") for p in PICTURES]
    pixels = processor(pictures, return_tensors="pt")
    ids = tokenizer(TEXTS, padding=True, return_tensors="pt")
    output = model(**ids, **pixels)
    classify = pipeline(
        "zero-shot-image-classification", model=model, tokenizer=tokenizer, image_processor=processor
    )
    expected = {
        "note": "the shipped demo model, float32 arithmetic on the float16 weights as stored; Pillow image processor",
        "transformers": transformers.__version__,
        "images": PICTURES,
        "texts": TEXTS,
        "input_ids": ids.input_ids.tolist(),
        "attention_mask": ids.attention_mask.tolist(),
        "input_ids_unpadded": tokenizer(TEXTS).input_ids,
        "too_long": {"text": TOO_LONG, "input_ids_truncated": tokenizer(TOO_LONG, truncation=True).input_ids},
        "image_embeds": output.image_embeds.tolist(),
        "text_embeds": output.text_embeds.tolist(),
        "logits_per_image": output.logits_per_image.tolist(),
        "logits_per_text": output.logits_per_text.tolist(),
        "pipeline": [
            {
                "candidate_labels": labels,
                "hypothesis_template": template,
                "results": [
                    classify(p, candidate_labels=labels, hypothesis_template=template) for p in pictures
                ],
            }
            for labels, template in CASES
        ],
    }
    os.makedirs(args.out, exist_ok=True)
    with open(os.path.join(args.out, "expected.json"), "w", encoding="utf-8") as file:
        json.dump(expected, file, ensure_ascii=False, indent=1)
        file.write("\n")
    np.save(os.path.join(args.out, "pixel_values.npy"), pixels.pixel_values.numpy())


if __name__ == "__main__":
    main()
