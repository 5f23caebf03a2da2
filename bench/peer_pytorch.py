#!/usr/bin/env python3
"""Trains a network of networks/ in PyTorch, for bench/run.sh to compare with.

The modules are those of golden_networks.py, on random images: this measures
speed alone. Each memory format is timed, and the better one counts. Prints a
line with the images per second; exits 77 where there is no PyTorch.
"""

import argparse
import ctypes
import os
import re
import statistics
import sys
import time

try:
    import torch
    from torch import nn
except (ImportError, OSError) as error:
    print(f"pytorch: cannot be imported: {str(error).splitlines()[0]}")
    sys.exit(77)

from golden_networks import CLASSES, NETWORKS, small_resnet, vgg16

IMAGE_BYTES = 32 * 2**20  # of the images that lie ready
WARM_UP_STEPS = 3
FORMATS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def vgg16_4096():
    network = vgg16()
    widths = [512, 4096, 4096]
    layers = []
    for inputs, outputs in zip(widths, widths[1:]):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True), nn.Dropout()]
    network.classifier = nn.Sequential(*layers, nn.Linear(widths[-1], CLASSES))
    return network


# The function that makes it, and its images: height, width, channels.
PEERS = {name: (make, shape) for name, (make, _, shape, _, _) in NETWORKS.items()}
for count in (1, 3, 5, 9, 18):
    PEERS[f"resnet{6 * count + 2}"] = (lambda blocks=count: small_resnet(1, blocks), (28, 28, 1))
PEERS["vgg16-4096"] = (vgg16_4096, (32, 32, 3))


class Training:
    """One training step after another, over mini-batches that lie ready in memory."""

    def __init__(self, options, memory_format):
        make, (height, width, channels) = PEERS[options.network]
        shape = (options.batch, channels, height, width)
        count = max(2, IMAGE_BYTES // (4 * options.batch * channels * height * width))
        self.batches = [
            (torch.randn(shape).to(memory_format=memory_format), torch.randint(CLASSES, (options.batch,)))
            for _ in range(count)
        ]
        self.network = make().to(memory_format=memory_format)
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.001, momentum=0.9, weight_decay=0.0005)
        self.forward = torch.compile(self.network) if options.compile else self.network
        self.steps = 0

    def step(self):
        images, labels = self.batches[self.steps % len(self.batches)]
        self.optimizer.zero_grad()
        self.loss(self.forward(images), labels).backward()
        self.optimizer.step()
        self.steps += 1


def time_steps(training, seconds):
    """The time of each step in a window of so many seconds, and the processor time of all."""
    for _ in range(WARM_UP_STEPS):
        training.step()
    times, processor = [], time.process_time()
    while sum(times) < seconds or len(times) < 3:
        start = time.perf_counter()
        training.step()
        times.append(time.perf_counter() - start)
    return times, time.process_time() - processor


def keep_freed_memory():
    """Without this, glibc returns big tensors to the kernel, and page faults take a sixth of PyTorch's speed."""
    libc = ctypes.CDLL(None)
    libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    libc.mallopt(M_MMAP_THRESHOLD, 32 * 2**20)


def onednn_version():
    found = re.search(r"(?:MKL-DNN|oneDNN) v([\d.]+)", torch.__config__.show())
    return found.group(1) if found else "unknown"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=sorted(PEERS), default="resnet20", help="(%(default)s)")
    parser.add_argument("--batch", type=int, default=64, help="images per mini-batch (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="to measure each memory format for (%(default)s)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: one per core")
    parser.add_argument("--compile", action="store_true", help="use torch.compile; needs a C++ compiler")
    options = parser.parse_args()

    keep_freed_memory()
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    timed = {name: time_steps(Training(options, layout), options.seconds) for name, layout in FORMATS.items()}
    best = min(timed, key=lambda name: statistics.median(timed[name][0]))
    times, processor = timed[best]
    images = len(times) * options.batch
    print(
        f"pytorch {torch.__version__}: {images / sum(times):.1f} images/s, "
        f"{1e6 * processor / images:.1f} us/sample of processors "
        f"({options.network}, threads {options.threads}, mini-batch {options.batch}, "
        f"{'compiled' if options.compile else 'eager'}, {best}, float32, oneDNN {onednn_version()}; "
        f"median step {1e3 * statistics.median(times):.1f} ms)"
    )


if __name__ == "__main__":
    main()
