"""How much a busy neighbour slows clipgo down: `clipgo bench` alone and beside programs that never sleep, in turns.

    make build && python tools/peers/neighbour.py [--hogs 1] [--threads 2] [--shape vit-b-32] [--type q8_0] [--visits 5]

Prints both times, and their ratio beside the fair one: that of the processors that are ours when every thread gets as
much. A ratio of more than 1.3 times the fair one is a failure (exit status 1).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time


def bench(options):
    command = [options.clipgo, "bench", "--json", "--tower", "image", "--batch", "1", "--threads", str(options.threads),
               "--shape", options.shape, "--type", options.type]
    return json.loads(subprocess.check_output(command))["results"][0]["ms"]


def beside_hogs(options):
    hogs = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(options.hogs)]
    try:
        time.sleep(0.2)
        return bench(options)
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


def main():
    processors = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--clipgo", default="bin/clipgo")
    parser.add_argument("--hogs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=processors)
    parser.add_argument("--shape", default="vit-b-32")
    parser.add_argument("--type", default="q8_0")
    parser.add_argument("--visits", type=int, default=5)
    options = parser.parse_args()

    alone, beside = [], []
    for _ in range(options.visits):
        alone.append(bench(options))
        beside.append(beside_hogs(options))
    slowdown = statistics.median(beside) / statistics.median(alone)
    ours = min(options.threads, processors * options.threads / (options.threads + options.hogs))
    fair = min(options.threads, processors) / ours
    print(f"alone {statistics.median(alone):.1f} ms, beside {options.hogs} busy threads {statistics.median(beside):.1f} ms: "
          f"{slowdown:.2f} times as long, {slowdown / fair:.2f} times the fair {fair:.2f}")
    sys.exit(slowdown > 1.3 * fair)


if __name__ == "__main__":
    main()
