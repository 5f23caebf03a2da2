"""Makes the golden files of this folder with PyTorch: python tests/golden/optimizers/make.py

Each case is one of PyTorch's optimizers (its loop over single tensors, on the
CPU, in float32) over 100 steps of 17 parameters. Gradients do not depend on the
parameters, so that an error in one step stays where it was made. They, the
learning rates and the first parameters are small integers times powers of two:
whoever reads them has exactly the floats that PyTorch had. Some gradients are
zero for a while, some for ever, some so small that epsilon rules.

steps.txt   a line per step: its number, the learning rate, 17 gradients
CASE.txt    "setting NAME VALUE" lines, then for steps 0 to 10, 20, 50 and 100
            "step N" and a line per vector: its name, then its values. Names are
            those of PyTorch's state_dict, and "parameter". A vector that
            PyTorch has not made yet is missing.

Vectors are C's hexadecimal floats, settings decimal; # begins a comment.
PyTorch's kernels without vector instructions made the files: with them, fused
multiply-adds move the last bit.
"""

import os

os.environ["ATEN_CPU_CAPABILITY"] = "default"

import torch

PARAMETERS = 17
STEPS = 100
STORED = [*range(1, 11), 20, 50, STEPS]
ADAM = {"betas": (0.9, 0.999), "eps": 1e-8}
CASES = {
    "sgd": (torch.optim.SGD, {}, []),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}, ["momentum_buffer"]),
    "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}, ["momentum_buffer"]),
    "adamw": (torch.optim.AdamW, ADAM, ["exp_avg", "exp_avg_sq"]),
    "nadamw": (
        torch.optim.NAdam,
        {**ADAM, "momentum_decay": 0.004, "decoupled_weight_decay": True},
        ["exp_avg", "exp_avg_sq", "mu_product"],
    ),
}


def scatter(i, t):
    """An integer from -127 to 127 that looks random."""
    x = (i * 0x9E3779B1 + t * 0x85EBCA6B + 0x27D4EB2F) & 0xFFFFFFFF
    x = ((x ^ x >> 15) * 0x2C1B3C6D) & 0xFFFFFFFF
    return (x ^ x >> 12) % 255 - 127


def first_parameters():
    return [scatter(i, 0) * 2.0 ** (i % 9 - 10) for i in range(PARAMETERS)]


def learning_rate(t):
    return (1 + t * 7 % 13) / 1024


def gradients(t):
    values = [scatter(i, t) * 2.0 ** (-2 * i) for i in range(PARAMETERS)]
    values[3] = 0.0
    values[7] = 0.0 if t < 5 else values[7]
    values[11] = 0.0 if t > 20 else values[11]
    return values


def hexadecimal(value):
    """What C's %a prints, without needless zeros."""
    mantissa, exponent = float(value).hex().split("p")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}p{exponent}"


def vector(name, values):
    return " ".join([name, *map(hexadecimal, values)])


def run(optimizer_class, settings, slots, weight_decay):
    parameter = torch.tensor(first_parameters(), dtype=torch.float32)
    optimizer = optimizer_class([parameter], lr=1.0, weight_decay=weight_decay, foreach=False, **settings)
    lines = [f"# PyTorch {torch.__version__}, torch.optim.{optimizer_class.__name__}"]
    for name, value in {**settings, "weight_decay": weight_decay}.items():
        lines.append(f"setting {name} " + " ".join(map(repr, value if isinstance(value, tuple) else [value])))
    lines += ["step 0", vector("parameter", parameter.tolist())]
    for t in range(1, STEPS + 1):
        parameter.grad = torch.tensor(gradients(t), dtype=torch.float32)
        optimizer.param_groups[0]["lr"] = learning_rate(t)
        optimizer.step()
        if t in STORED:
            state = optimizer.state_dict()["state"].get(0, {})
            lines += [f"step {t}", vector("parameter", parameter.tolist())]
            lines += [vector(slot, state[slot].reshape(-1).tolist()) for slot in slots]
    return lines


def write(name, lines):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name), "w") as file:
        file.write("\n".join(lines) + "\n")


write(
    "steps.txt",
    ["# step, learning rate, gradients"]
    + [vector(str(t), [learning_rate(t), *gradients(t)]) for t in range(1, STEPS + 1)],
)
for case, (optimizer_class, settings, slots) in CASES.items():
    write(f"{case}.txt", run(optimizer_class, settings, slots, 0.0))
    write(f"{case}-decay.txt", run(optimizer_class, settings, slots, 0.1))
