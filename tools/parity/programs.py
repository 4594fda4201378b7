"""Compares whole programs with each other: token ids of mixed lines, and the pipeline's scores for the golden checkpoints.

    python tools/parity/programs.py run GOLDEN PICTURES OUT.json      with transformers 5.23, and again with 4.57.6 on the path
    node tools/parity/tokens.mjs GOLDEN HF5.json OUT.json             token ids of transformers.js for the same lines
    python tools/parity/programs.py compare A.json B.json

Tokenisers' files are read as the public checkpoints have them (answers.py's as_published). What docs/parity.md says of whole
programs was read off the output.
"""
import json
import os
import shutil
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tokenizer-goldens"))


def run(golden, pictures, out):
    import torch
    import transformers
    from transformers import AutoImageProcessor, AutoTokenizer, pipeline

    import texts
    from answers import as_published

    lines = texts.lines(1500, "modes")
    old = transformers.__version__.startswith("4.")
    result = {"lines": lines, "ids": {}, "scores": {}}
    for name in sorted(os.listdir(golden)):
        if not os.path.exists(os.path.join(golden, name, "preprocessor_config.json")):
            continue
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(os.path.join(golden, name), folder, dirs_exist_ok=True)
            as_published(folder, name)
            try:
                tokenizer = AutoTokenizer.from_pretrained(folder)
                result["ids"][name] = [tokenizer(line)["input_ids"] for line in lines]
                processor = AutoImageProcessor.from_pretrained(folder, **({"use_fast": False} if old else {"backend": "pil"}))
                classify = pipeline("zero-shot-image-classification", model=folder, tokenizer=tokenizer, image_processor=processor,
                                    **{"torch_dtype" if old else "dtype": torch.float32})
                scores = []
                for picture in ("CLIP.png", "000000039769.png", "skimage/page.png"):
                    answer = classify(os.path.join(pictures, picture), candidate_labels=["cat", "a Page of text", "two dogs"])
                    scores.append({p["label"]: p["score"] for p in answer})
                if all(score == score for picture in scores for score in picture.values()):  # blip without its heads gives NaN
                    result["scores"][name] = scores
            except Exception as error:  # what one program doesn't have is no reason to leave out the rest
                print(name, str(error)[:120], file=sys.stderr)
    with open(out, "w") as f:
        json.dump(result, f)


def compare(a, b):
    a, b = (json.load(open(path)) for path in (a, b))
    ascii_lines = sum(line.isascii() for line in a["lines"])
    for name in sorted(set(a["ids"]) & set(b["ids"])):
        differ = [line for line, x, y in zip(a["lines"], a["ids"][name], b["ids"][name]) if x != y]
        print(f"{name}: {len(differ)} of {len(a['lines'])} lines differ, {sum(line.isascii() for line in differ)} of {ascii_lines} in ASCII", end="")
        if name in a["scores"] and name in b.get("scores", {}):
            most = max(abs(x[label] - y[label]) for x, y in zip(a["scores"][name], b["scores"][name]) for label in x)
            print(f"; scores by at most {most:.2g}", end="")
        print()


if __name__ == "__main__":
    {"run": run, "compare": compare}[sys.argv[1]](*sys.argv[2:])
