#!/usr/bin/env python3
"""Trains the network of configs/resnet.ini in PyTorch, for bench/run.sh to compare with.

ResNet-20 as in networks/resnet20.net, on random images: this measures speed alone. Prints one line with the images per
second; exits 77 where there is no PyTorch.
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

IMAGE_SIDE, CLASSES, WIDTH = 28, 10, 16
BATCHES = 64
WARM_UP_STEPS = 10
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def convolution(inputs, outputs, kernel, stride):
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions around the shortcut: the identity, or a projection where the shape changes."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = convolution(inputs, outputs, 3, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = convolution(outputs, outputs, 3, 1)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x):
        branch = torch.relu_(self.bn1(self.conv1(x)))
        return torch.relu_(self.bn2(self.conv2(branch)).add_(self.shortcut(x)))


def resnet20():
    layers = [convolution(1, WIDTH, 3, 1), nn.BatchNorm2d(WIDTH), nn.ReLU(inplace=True)]
    inputs = WIDTH
    for group in range(3):
        outputs = WIDTH << group
        for i in range(3):
            layers.append(ResidualBlock(inputs, outputs, 2 if group > 0 and i == 0 else 1))
            inputs = outputs
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, CLASSES)]
    return nn.Sequential(*layers)


class Training:
    """One training step after another, over mini-batches that lie ready in memory."""

    def __init__(self, options):
        shape = (options.batch, 1, IMAGE_SIDE, IMAGE_SIDE)
        self.batches = [
            (torch.randn(shape).to(memory_format=torch.channels_last), torch.randint(CLASSES, (options.batch,)))
            for _ in range(BATCHES)
        ]
        self.network = resnet20().to(memory_format=torch.channels_last)
        self.loss = nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.05, momentum=0.9, weight_decay=0.0005)
        self.forward = torch.compile(self.network) if options.compile else self.network
        self.steps = 0

    def step(self):
        images, labels = self.batches[self.steps % BATCHES]
        self.optimizer.zero_grad()
        self.loss(self.forward(images), labels).backward()
        self.optimizer.step()
        self.steps += 1


def time_steps(training, seconds):
    """The time of each step in a window of so many seconds."""
    for _ in range(WARM_UP_STEPS):
        training.step()
    times = []
    while sum(times) < seconds:
        start = time.perf_counter()
        training.step()
        times.append(time.perf_counter() - start)
    return times


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
    parser.add_argument("--batch", type=int, default=64, help="images per mini-batch (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="to measure for (%(default)s)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: one per core")
    parser.add_argument("--compile", action="store_true", help="use torch.compile; needs a C++ compiler")
    options = parser.parse_args()

    keep_freed_memory()
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    times = time_steps(Training(options), options.seconds)
    print(
        f"pytorch {torch.__version__}: {len(times) * options.batch / sum(times):.0f} images/s "
        f"(threads {options.threads}, mini-batch {options.batch}, {'compiled' if options.compile else 'eager'}, "
        f"channels_last, float32, oneDNN {onednn_version()}; median step {1e3 * statistics.median(times):.1f} ms)"
    )


if __name__ == "__main__":
    main()
