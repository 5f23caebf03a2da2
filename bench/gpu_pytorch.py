#!/usr/bin/env python3
"""Trains the network of configs/resnet.ini in PyTorch on a GPU, for bench/gpu.sh to compare with.

The network and the steps are those of peer_pytorch.py, with mini-batches that lie in the GPU's memory: this measures
speed alone. Prints one line with the images per second; exits 77 where there is no PyTorch or it finds no GPU.
"""

import argparse
import sys
import time

import peer_pytorch  # exits 77 without PyTorch
import torch

WARM_UP_STEPS = 50  # compiling and recording included
STEPS_AT_A_TIME = 100


class GpuTraining(peer_pytorch.Training):
    """As on the CPU, with network and mini-batches on the GPU."""

    def __init__(self, options):
        super().__init__(
            argparse.Namespace(network="resnet20", batch=options.batch, compile=False), torch.channels_last
        )
        self.batches = [
            (images.cuda().to(memory_format=torch.channels_last), labels.cuda()) for images, labels in self.batches
        ]
        self.network = self.network.cuda().to(memory_format=torch.channels_last)
        self.loss = self.loss.cuda()
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.05, momentum=0.9, weight_decay=0.0005)
        self.forward = torch.compile(self.network, mode="reduce-overhead") if options.compile else self.network


def steps_per_second(training, seconds):
    """In a window of so many seconds; the GPU is waited for only now and then, as in real training."""
    for _ in range(WARM_UP_STEPS):
        training.step()
    torch.cuda.synchronize()
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for _ in range(STEPS_AT_A_TIME):
            training.step()
        torch.cuda.synchronize()
        steps += STEPS_AT_A_TIME
    return steps / (time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64, help="images per mini-batch (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="to measure for (%(default)s)")
    parser.add_argument("--compile", action="store_true", help="torch.compile with CUDA graphs (reduce-overhead)")
    parser.add_argument("--no-tf32", action="store_true", help="full precision for products and convolutions")
    options = parser.parse_args()

    if not torch.cuda.is_available():
        print("pytorch: finds no GPU")
        sys.exit(77)
    torch.manual_seed(1)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not options.no_tf32
    torch.backends.cudnn.benchmark = True
    rate = options.batch * steps_per_second(GpuTraining(options), options.seconds)
    print(
        f"pytorch {torch.__version__}: {rate:.0f} images/s ({torch.cuda.get_device_name()}, mini-batch {options.batch}, "
        f"{'compiled, CUDA graphs' if options.compile else 'eager'}, channels_last, "
        f"{'float32' if options.no_tf32 else 'TF32'}, cuDNN {torch.backends.cudnn.version()})"
    )


if __name__ == "__main__":
    main()
