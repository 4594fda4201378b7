"""Says how good a checkpoint is: python evaluate.py [--checkpoint DIR] [--pictures 1372]

Everything goes through transformers: its image processor (Pillow), its tokenizer, its model in float32.
"""

import argparse
import os
import random

import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPModel, CLIPTokenizer, pipeline

import emoji
import scene

HERE = os.path.dirname(os.path.abspath(__file__))
TEMPLATE = "This is a photo of {}."  # the pipeline's own


class Judge:
    def __init__(self, checkpoint):
        self.model = CLIPModel.from_pretrained(checkpoint, dtype=torch.float32).eval()
        self.tokenizer = CLIPTokenizer.from_pretrained(checkpoint)
        self.processor = CLIPImageProcessorPil.from_pretrained(checkpoint)

    @torch.no_grad()
    def images(self, pictures):
        """Unit vectors [n, projection] of PIL pictures."""
        rows = []
        for start in range(0, len(pictures), 64):
            inputs = self.processor(pictures[start : start + 64], return_tensors="pt")
            rows.append(self.model.get_image_features(**inputs).pooler_output)
        return torch.nn.functional.normalize(torch.cat(rows), dim=1)

    @torch.no_grad()
    def texts(self, texts):
        inputs = self.tokenizer(texts, padding=True, return_tensors="pt")
        return torch.nn.functional.normalize(self.model.get_text_features(**inputs).pooler_output, dim=1)


def top1(scores, indices, candidates, rng):
    """Share of rows [n, classes] whose own class scores highest among itself and candidates - 1 others."""
    right = 0
    for row, own in zip(scores, indices):
        others = rng.sample([i for i in range(scores.shape[1]) if i != own], candidates - 1)
        right += bool((row[own] > row[others]).all())
    return right / len(indices)


def main():
    parser = argparse.ArgumentParser(description="measure a checkpoint of the demo model")
    parser.add_argument("--checkpoint", default=os.path.join(HERE, "checkpoint"))
    parser.add_argument("--pictures", type=int, default=1372, help="how many new pictures of each kind")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--testdata", default=os.path.join(HERE, "..", "..", "testdata"))
    args = parser.parse_args()
    torch.set_num_threads(2)

    loaded = emoji.load()
    judge = Judge(args.checkpoint)
    names = judge.texts([TEMPLATE.format(e.name) for e, _ in loaded])
    bare = judge.texts([e.name for e, _ in loaded])
    rng = random.Random(args.seed)
    indices = rng.sample(range(len(loaded)), min(args.pictures, len(loaded)))
    for kind in ("plain", "random"):
        if kind == "plain":
            pictures = [scene.plain_scene(loaded[i][1]) for i in indices]
        else:
            pictures = [scene.random_scene(loaded[i][1], loaded[i][0].may_flip, rng) for i in indices]
        images = judge.images(pictures)
        for wording, texts in ((TEMPLATE, names), ("{}", bare)):
            scores = images @ texts.T
            whole = sum(row.argmax().item() == i for row, i in zip(scores, indices)) / len(indices)
            print(
                f"{kind:6} scenes, {len(indices)} pictures, {wording!r}: top-1 among 20 labels "
                f"{top1(scores, indices, 20, rng):.3f}, among all {len(loaded)} {whole:.3f}"
            )

    classify = pipeline(
        "zero-shot-image-classification",
        model=judge.model,
        tokenizer=judge.tokenizer,
        image_processor=judge.processor,
    )
    for name, labels in (
        ("owl", ["fox", "bear", "seagull", "owl"]),
        ("car", ["tree", "car", "bike", "cat"]),
        ("cat", ["dog", "cat", "horse", "mouse", "car"]),
        ("pizza", ["burger", "salad", "pizza", "cake"]),
        ("guitar", ["piano", "guitar", "violin", "drum"]),
        ("rocket", ["airplane", "rocket", "boat", "train"]),
    ):
        picture = Image.open(os.path.join(args.testdata, name + ".png"))
        answer = classify(picture, candidate_labels=labels)
        print(name, ", ".join(f"{a['label']} {a['score']:.4f}" for a in answer))


if __name__ == "__main__":
    main()
