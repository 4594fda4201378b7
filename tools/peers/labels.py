"""Times one picture with many labels: a whole `clipgo classify`, nothing cached, in turns with a call of transformers' pipeline,
whose model is loaded already.

    pip install torch transformers
    make build && python tools/peers/labels.py --model FOLDER [--labels 1000] [--labels-file FILE] [--type Q8_0] [--visits 5]

FOLDER is a CLIP checkpoint as save_pretrained writes it. Without --labels-file labels are a colour, a thing and a place.
A ratio of less than 10 is a failure (exit status 1).
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time

import transformers

COLOURS = "red green small old big wild fast slow bright dark cold warm round tall tiny young".split()
THINGS = "owl fox bear gull cat dog car boat tree house plane horse sheep cow train bird fish lake hill road".split()
PLACES = "table chair window garden".split()


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clipgo", default="bin/clipgo")
    parser.add_argument("--model", required=True)
    parser.add_argument("--labels", type=int, default=1000, help="how many labels to make up, at most 1280")
    parser.add_argument("--labels-file")
    parser.add_argument("--type", default="Q8_0")
    parser.add_argument("--picture", default="testdata/owl.png")
    parser.add_argument("--visits", type=int, default=5)
    options = parser.parse_args()

    if options.labels_file:
        with open(options.labels_file) as f:
            labels = [line.strip() for line in f if line.strip()]
    else:
        labels = [" ".join(words) for words in itertools.product(THINGS, COLOURS, PLACES)][:options.labels]
    pipeline = transformers.pipeline("zero-shot-image-classification", model=options.model, device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        gguf, listed = os.path.join(folder, "model.gguf"), os.path.join(folder, "labels.txt")
        subprocess.check_call([options.clipgo, "convert", options.model, "--type", options.type, "-o", gguf],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(listed, "w") as f:
            f.write("\n".join(labels))
        command = [options.clipgo, "classify", "--no-cache", "-m", gguf, "--labels-file", listed, options.picture]
        ours, theirs = [], []
        for _ in range(options.visits):
            theirs.append(seconds(lambda: pipeline(options.picture, candidate_labels=labels)))
            time.sleep(0.2)  # its threads may spin for a while
            ours.append(seconds(lambda: subprocess.check_call(command, stdout=subprocess.DEVNULL)))
    ratio = statistics.median(theirs) / statistics.median(ours)
    print(f"{len(labels)} labels: the pipeline's call {statistics.median(theirs):.2f} s ({min(theirs):.2f}-{max(theirs):.2f}), "
          f"clipgo {options.type} from start to end {statistics.median(ours):.2f} s ({min(ours):.2f}-{max(ours):.2f}): "
          f"{ratio:.1f} times as fast")
    sys.exit(ratio < 10)


if __name__ == "__main__":
    main()
