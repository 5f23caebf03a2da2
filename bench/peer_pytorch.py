#!/usr/bin/env python3
"""Trains a network of networks/ in PyTorch, for bench/run.sh to compare with.

The modules are those of golden_networks.py, on random images, and for the Llama
one of PyTorch's own functions, which is faster than transformers': this measures
speed alone. Each memory format is timed, and the better one counts. Prints a
line with the samples per second; exits 77 where there is no PyTorch.
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
    from torch.nn import functional
except (ImportError, OSError) as error:
    print(f"pytorch: cannot be imported: {str(error).splitlines()[0]}")
    sys.exit(77)

from golden_networks import CLASSES, NETWORKS, small_resnet, vgg16

VOCABULARY, CONTEXT = 256, 256
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


class Attention(nn.Module):
    """Rotary positions and causal attention, of heads that share keys and values."""

    def __init__(self, width, heads, kv_heads):
        super().__init__()
        self.heads, self.kv_heads, self.size = heads, kv_heads, width // heads
        self.q_proj = nn.Linear(width, width, bias=False)
        self.k_proj = nn.Linear(width, kv_heads * self.size, bias=False)
        self.v_proj = nn.Linear(width, kv_heads * self.size, bias=False)
        self.o_proj = nn.Linear(width, width, bias=False)

    def forward(self, x, cosines, sines):
        def turn(x):
            first, second = x.chunk(2, dim=-1)
            return x * cosines + torch.cat((-second, first), dim=-1) * sines

        rows, positions, width = x.shape
        q, k, v = (
            linear(x).view(rows, positions, heads, self.size).transpose(1, 2)
            for linear, heads in ((self.q_proj, self.heads), (self.k_proj, self.kv_heads), (self.v_proj, self.kv_heads))
        )
        y = functional.scaled_dot_product_attention(turn(q), turn(k), v, is_causal=True, enable_gqa=True)
        return self.o_proj(y.transpose(1, 2).reshape(rows, positions, width))


class LlamaBlock(nn.Module):
    def __init__(self, width, hidden, heads, kv_heads):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = nn.RMSNorm(width, 1e-5), nn.RMSNorm(width, 1e-5)
        self.self_attn = Attention(width, heads, kv_heads)
        self.gate_proj, self.up_proj = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down_proj = nn.Linear(hidden, width, bias=False)

    def forward(self, x, cosines, sines):
        x = x + self.self_attn(self.input_layernorm(x), cosines, sines)
        y = self.post_attention_layernorm(x)
        return x + self.down_proj(functional.silu(self.gate_proj(y)) * self.up_proj(y))


class Llama(nn.Module):
    """networks/llama-1.5m.net."""

    def __init__(self, width=128, hidden=344, layers=8, heads=4, kv_heads=2):
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, width)
        self.layers = nn.ModuleList(LlamaBlock(width, hidden, heads, kv_heads) for _ in range(layers))
        self.norm = nn.RMSNorm(width, 1e-5)
        self.lm_head = nn.Linear(width, VOCABULARY, bias=False)
        size = width // heads
        angles = torch.outer(torch.arange(CONTEXT), 10000.0 ** (-torch.arange(0, size, 2) / size)).repeat(1, 2)
        self.register_buffer("cosines", angles.cos())
        self.register_buffer("sines", angles.sin())

    def forward(self, tokens):
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x, self.cosines, self.sines)
        return self.lm_head(self.norm(x)).flatten(0, 1)


# The function that makes it, and its images: height, width, channels; None where it reads tokens.
PEERS = {name: (make, shape) for name, (make, _, shape, _, _) in NETWORKS.items()}
for count in (1, 3, 5, 9, 18):
    PEERS[f"resnet{6 * count + 2}"] = (lambda blocks=count: small_resnet(1, blocks), (28, 28, 1))
PEERS["vgg16-4096"] = (vgg16_4096, (32, 32, 3))
PEERS["llama-1.5m"] = (Llama, None)


def image_batches(rows, image, memory_format):
    height, width, channels = image
    shape = (rows, channels, height, width)
    count = max(2, IMAGE_BYTES // (4 * rows * channels * height * width))
    return [
        (torch.randn(shape).to(memory_format=memory_format), torch.randint(CLASSES, (rows,))) for _ in range(count)
    ]


def token_batches(rows):
    return [
        (torch.randint(VOCABULARY, (rows, CONTEXT)), torch.randint(VOCABULARY, (rows * CONTEXT,))) for _ in range(64)
    ]


class Training:
    """One training step after another, over mini-batches that lie ready in memory."""

    def __init__(self, options, memory_format):
        make, image = PEERS[options.network]
        self.batches = image_batches(options.batch, image, memory_format) if image else token_batches(options.batch)
        self.network = make().to(memory_format=memory_format)
        self.loss = nn.CrossEntropyLoss()
        self.clip_norm = None if image else 1.0
        parameters = self.network.parameters()
        if image:
            self.optimizer = torch.optim.SGD(parameters, lr=0.001, momentum=0.9, weight_decay=0.0005)
        else:
            self.optimizer = torch.optim.AdamW(parameters, lr=0.001, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
        self.forward = torch.compile(self.network) if options.compile else self.network
        self.steps = 0

    def step(self):
        images, labels = self.batches[self.steps % len(self.batches)]
        self.optimizer.zero_grad()
        self.loss(self.forward(images), labels).backward()
        if self.clip_norm:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
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
    parser.add_argument("--batch", type=int, default=64, help="samples per mini-batch (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="to measure each memory format for (%(default)s)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: one per core")
    parser.add_argument("--compile", action="store_true", help="use torch.compile; needs a C++ compiler")
    options = parser.parse_args()

    keep_freed_memory()
    torch.manual_seed(1)
    torch.set_num_threads(options.threads)
    formats = FORMATS if PEERS[options.network][1] else {"contiguous": torch.contiguous_format}
    timed = {name: time_steps(Training(options, layout), options.seconds) for name, layout in formats.items()}
    best = min(timed, key=lambda name: statistics.median(timed[name][0]))
    times, processor = timed[best]
    samples = len(times) * options.batch
    print(
        f"pytorch {torch.__version__}: {samples / sum(times):.1f} samples/s, "
        f"{1e6 * processor / samples:.1f} us/sample of processors "
        f"({options.network}, threads {options.threads}, mini-batch {options.batch}, "
        f"{'compiled' if options.compile else 'eager'}, {best}, float32, oneDNN {onednn_version()}; "
        f"median step {1e3 * statistics.median(times):.1f} ms)"
    )


if __name__ == "__main__":
    main()
