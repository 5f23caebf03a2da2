"""Makes tests/golden/networks/ with PyTorch: python bench/golden_networks.py [NAME ...]

Each file is a network of networks/, written out here as PyTorch modules, and
what its first updates make of it: in float64, so that the numbers are those that
float32 would have without rounding. First weights, images and labels come from
integers that `scatter` makes: whoever reads the files makes the same ones.
Modules are called as layers are in network files, which is as torchvision calls
those that it has.

NAME.txt    "input HEIGHT WIDTH CHANNELS", where a width of 1 is HEIGHT tokens,
            "classes", "rows"; the settings of SGD: "rate", "momentum",
            "weight_decay"
            "loss" of every step, before its update
            "logits" of the first step, [rows][classes], of tokens
            [rows][tokens][classes]
            "evaluated": logits of the same images after the last update, with
            the running statistics
            "parameter NAME", in the order that numbers them 1, 2, ...: a summary
            of its gradient in the first step, then one of what all updates
            added to it
            "state NAME": a summary of a running statistic after the last update

A summary of a tensor x is four numbers: its norm, the sum of x_i scatter(i, 0) /
128 (a norm is the same in any order, this sum is not), x_0 and x_(count / 2).
Tensors are counted in PyTorch's layout. # begins a comment.
"""

import os
import sys

import torch
from torch import nn
from torch.nn import functional

STEPS = 3
CLASSES = 10
MOMENTUM, WEIGHT_DECAY = 0.875, 2.0**-6


def scatter(count, t):
    """`count` integers from -127 to 127 that look random."""
    i = torch.arange(count, dtype=torch.int64)
    x = (i * 0x9E3779B1 + t * 0x85EBCA6B + 0x27D4EB2F) & 0xFFFFFFFF
    x = ((x ^ x >> 15) * 0x2C1B3C6D) & 0xFFFFFFFF
    return (x ^ x >> 12) % 255 - 127


def first_values(shape, number, norm, name):
    """Weights have about the deviation that He et al. give them; biases are near 0.

    Norms keep what a ReLU reads far from 0, above or below by channel: near 0,
    rounding would choose between gradients, and updates would carry that on.
    Channels go in pairs, and weights take the difference of each pair, so that
    what norms add does not drown what is in the images.
    """
    values = scatter(shape.numel(), number).double().reshape(shape)
    if len(shape) > 1:
        if shape[1] % 2 == 0:
            values[:, 1::2] = -values[:, ::2]
        bits = (shape.numel() // shape[0]).bit_length() - 1
        return values * 2.0 ** -(6 + bits // 2)
    if not norm:
        return values * 2.0**-10
    if name.endswith("weight"):
        return 0.25 + values * 2.0**-10
    return torch.where(scatter(shape.numel() // 2, number) < -64, -16.0, 2.0).repeat_interleave(2).double()


class Residual(nn.Module):
    """Convolutions with batch norm, of these kernels and channels, and a shortcut around them."""

    def __init__(self, inputs, kernels, channels, stride):
        super().__init__()
        self.count = len(kernels)
        strided = kernels.index(3)
        channels = [inputs, *channels]
        for n, kernel in enumerate(kernels):
            conv = nn.Conv2d(
                channels[n], channels[n + 1], kernel, stride if n == strided else 1, kernel // 2, bias=False
            )
            self.add_module(f"conv{n + 1}", conv)
            self.add_module(f"bn{n + 1}", nn.BatchNorm2d(channels[n + 1]))
        self.projects = stride != 1 or inputs != channels[-1]
        if self.projects:
            shortcut = [nn.Conv2d(inputs, channels[-1], 1, stride, bias=False), nn.BatchNorm2d(channels[-1])]
            if self.count == 2:
                self.shortcut, self.shortcut_bn = shortcut
            else:
                self.downsample = nn.Sequential(*shortcut)

    def project(self, x):
        return self.shortcut_bn(self.shortcut(x)) if self.count == 2 else self.downsample(x)

    def forward(self, x):
        y = x
        for n in range(1, self.count + 1):
            y = getattr(self, f"bn{n}")(getattr(self, f"conv{n}")(y))
            y = torch.relu_(y) if n < self.count else y
        return torch.relu_(y.add_(self.project(x) if self.projects else x))


def keep_apart(pool, inputs, _):
    """Rounding must not choose a window's largest value; if it would, other rows may do. Of equals it is the first."""
    if not pool.training:
        return
    images = inputs[0].reshape(-1, 1, *inputs[0].shape[2:])
    windows = functional.unfold(images, pool.kernel_size, padding=pool.padding, stride=pool.stride)
    first, second = windows.topk(2, dim=1).values.unbind(1)
    closest = (first - second)[(first > 0) & (first > second)].min().item()
    assert closest > 1e-6, f"two values of a window are only {closest} apart"


class Chain(nn.Sequential):
    """Modules one behind the other, each with its name."""

    def __init__(self, **modules):
        super().__init__()
        for name, module in modules.items():
            self.add_module(name, module)


def small_resnet(channels, blocks):
    conv = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
    stem = Chain(conv=conv, bn=nn.BatchNorm2d(16), relu=nn.ReLU(inplace=True))
    residual, inputs = {}, 16
    for group, width in enumerate((16, 32, 64)):
        for n in range(blocks):
            stride = 2 if group > 0 and n == 0 else 1
            residual[f"block{len(residual) + 1}"] = Residual(inputs, [3, 3], [width] * 2, stride)
            inputs = width
    head = Chain(pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), linear=nn.Linear(64, CLASSES))
    return Chain(stem=stem, **residual, head=head)


def resnet50(conv1, **maxpool):
    layers, inputs = {}, 64
    for group, blocks in enumerate((3, 4, 6, 3)):
        width = 64 * 2**group
        layers[f"layer{group + 1}"] = nn.Sequential()
        for n in range(blocks):
            stride = 2 if group > 0 and n == 0 else 1
            layers[f"layer{group + 1}"].append(Residual(inputs, [1, 3, 1], [width, width, 4 * width], stride))
            inputs = 4 * width
    return Chain(
        conv1=conv1, bn1=nn.BatchNorm2d(64), relu=nn.ReLU(inplace=True), **maxpool, **layers,
        avgpool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten(), fc=nn.Linear(2048, CLASSES),
    )


def resnet50_small():
    return resnet50(nn.Conv2d(3, 64, 3, padding=1, bias=False))


def resnet50_imagenet():
    conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
    return resnet50(conv1, maxpool=nn.MaxPool2d(3, stride=2, padding=1))


def vgg16():
    features, inputs = nn.Sequential(), 3
    for item in [64, 64, "P", 128, 128, "P", *[256] * 3, "P", *[512] * 3, "P", *[512] * 3, "P"]:
        if item == "P":
            features.append(nn.MaxPool2d(2))
            continue
        features.extend([nn.Conv2d(inputs, item, 3, padding=1), nn.BatchNorm2d(item), nn.ReLU(inplace=True)])
        inputs = item
    return Chain(features=features, flat=nn.Flatten(), classifier=nn.Linear(inputs, CLASSES))


def alexnet():
    features, inputs = nn.Sequential(), 3
    for width, kernel, stride, pools in (
        [(64, 11, 4, True), (192, 5, 1, True), (384, 3, 1, False), (256, 3, 1, False), (256, 3, 1, True)]
    ):
        features.extend([nn.Conv2d(inputs, width, kernel, stride, kernel // 2), nn.ReLU(inplace=True)])
        if pools:
            features.append(nn.MaxPool2d(2))
        inputs = width
    return Chain(features=features, flat=nn.Flatten(), classifier=nn.Linear(inputs, CLASSES))


class Logits(nn.Module):
    """A language model of transformers, called as a network that gives logits alone."""

    def __init__(self, model):
        super().__init__()
        self.inner = model

    def named_parameters(self, *arguments, **keywords):
        return self.inner.named_parameters(*arguments, **keywords)

    def forward(self, tokens):
        return self.inner(tokens).logits


def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    return Logits(
        LlamaForCausalLM(
            LlamaConfig(
                vocab_size=CLASSES,
                hidden_size=128,
                intermediate_size=344,
                num_hidden_layers=8,
                num_attention_heads=4,
                num_key_value_heads=2,
                rms_norm_eps=1e-5,
                rope_theta=10000.0,
                tie_word_embeddings=False,
                attn_implementation="eager",
            )
        )
    )


def mlp():
    return Chain(
        flat=nn.Flatten(),
        stem=Chain(linear=nn.Linear(784, 256), relu=nn.ReLU(inplace=True)),
        block1=Chain(linear=nn.Linear(256, 256), relu=nn.ReLU(inplace=True)),
        head=Chain(linear=nn.Linear(256, CLASSES)),
    )


# The function that makes it, rows, image (height, width, channels), parameters, and the learning rate.
NETWORKS = {
    "mlp": (mlp, 8, (28, 28, 1), 269322, 2.0**-6),
    "resnet8": (lambda: small_resnet(3, 1), 8, (32, 32, 3), 78042, 2.0**-8),
    "resnet20": (lambda: small_resnet(1, 3), 8, (28, 28, 1), 272186, 2.0**-8),
    "alexnet": (alexnet, 8, (32, 32, 3), 2472266, 2.0**-10),
    "vgg16": (vgg16, 6, (32, 32, 3), 14728266, 2.0**-8),
    "llama-1.5m": (llama, 2, (8, 1, 1), 1517696 - 2 * (256 - CLASSES) * 128, 2.0**-6),
    "resnet50": (resnet50_small, 4, (32, 32, 3), 23520842, 2.0**-9),
    "resnet50-imagenet": (resnet50_imagenet, 5, (64, 64, 3), 23528522, 2.0**-9),
}


def numbers(values):
    return " ".join(f"{value:.8g}" for value in values)


def summary(tensor):
    x = tensor.reshape(-1)
    weighted = (x * scatter(x.numel(), 0)).sum() / 128
    return numbers([x.norm().item(), weighted.item(), x[0].item(), x[x.numel() // 2].item()])


def train(model, rate, images, labels):
    """Losses, the first step's logits and gradients."""
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    losses, first = [], None
    for _ in range(STEPS):
        optimizer.zero_grad()
        logits = model(images)
        loss = functional.cross_entropy(logits.reshape(-1, CLASSES), labels)
        loss.backward()
        losses.append(loss.item())
        if first is None:
            first = logits.detach(), [parameter.grad.clone() for parameter in model.parameters()]
        optimizer.step()
    return losses, *first


def describe(make, rows, shape, parameters, rate):
    height, width, channels = shape
    model = make().double()
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    norms = {id(p) for module in model.modules() if isinstance(module, nn.BatchNorm2d) for p in module.parameters()}
    initial = [
        first_values(p.shape, n, id(p) in norms or "norm" in name, name)
        for n, (name, p) in enumerate(model.named_parameters(), 1)
    ]
    for parameter, values in zip(model.parameters(), initial):
        parameter.data.copy_(values)
    for module in model.modules():
        if isinstance(module, nn.MaxPool2d):
            module.register_forward_hook(keep_apart)
    images = scatter(rows * channels * height * width, 0).double().reshape(rows, channels, height, width) / 64
    labels = (scatter(rows, 1) + 127) % CLASSES
    if width == 1:
        images = ((scatter(rows * height, 0) + 127) % CLASSES).reshape(rows, height)
        labels = (scatter(rows * height, 1) + 127) % CLASSES
    losses, logits, gradients = train(model.train(), rate, images, labels)
    model.eval()
    with torch.no_grad():
        evaluated = model(images)
    lines = [
        f"# PyTorch {torch.__version__.split('+')[0]}, float64",
        f"input {height} {width} {channels}",
        f"classes {CLASSES}",
        f"rows {rows}",
        f"rate {rate}",
        f"momentum {MOMENTUM}",
        f"weight_decay {WEIGHT_DECAY}",
        "loss " + numbers(losses),
        "logits " + numbers(logits.reshape(-1).tolist()),
        "evaluated " + numbers(evaluated.reshape(-1).tolist()),
    ]
    for (name, parameter), before, gradient in zip(model.named_parameters(), initial, gradients):
        lines.append(f"parameter {name} {summary(gradient)} {summary(parameter.detach() - before)}")
    for name, buffer in model.named_buffers():
        if not name.endswith(("num_batches_tracked", "inv_freq")):
            lines.append(f"state {name} {summary(buffer)}")
    return lines


FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden", "networks")


def main():
    for network in sys.argv[1:] or NETWORKS:
        lines = describe(*NETWORKS[network])
        with open(os.path.join(FOLDER, network + ".txt"), "w") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
