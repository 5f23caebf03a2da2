#!/usr/bin/env python3
"""Takes weights from tp into other tools' models and back, and compares test losses.

For each network: tp trains it for an epoch on a few images and saves a checkpoint. The model of torchvision, or of
transformers, loads the checkpoint's tensors by their names, strictly, and must have tp's test loss. Then weights that
PyTorch has drawn anew are saved by the safetensors package, and a run that begins with them (--init) at a learning
rate of next to nothing must have PyTorch's test loss and leave the weights as they are.

Usage: bench/weights.py BUILD [NETWORK ...]      needs torch, torchvision, safetensors; transformers for a Llama; exits
77 where they are not. IMAGES=600 in the environment: to train on; a fifth as many are tested.
"""
import gzip
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import torch
    import torchvision
    from safetensors.torch import load_file, save_file
    from torch import nn
except (ImportError, OSError) as error:
    print(f"weights: cannot be imported: {str(error).splitlines()[0]}")
    sys.exit(77)

BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build").resolve()
ROOT = pathlib.Path(__file__).resolve().parent.parent
IMAGES = int(os.environ.get("IMAGES", "600"))
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")
CLASSES = 10
LOSS_TOLERANCE = 1e-4  # of two losses in float32


def vgg16():
    model = torchvision.models.vgg16_bn()
    model.avgpool, model.classifier = nn.Identity(), nn.Linear(512, CLASSES)
    return model


def vgg16_4096():
    model = torchvision.models.vgg16_bn(num_classes=CLASSES)
    model.avgpool, model.classifier[0] = nn.Identity(), nn.Linear(512, 4096)
    return model


def alexnet():
    model = torchvision.models.alexnet()
    model.features[0] = nn.Conv2d(3, 64, 11, stride=4, padding=5)
    for n in (2, 5, 12):
        model.features[n] = nn.MaxPool2d(2)
    model.avgpool, model.classifier = nn.Identity(), nn.Linear(256, CLASSES)
    return model


def resnet50():
    model = torchvision.models.resnet50(num_classes=CLASSES)
    model.conv1, model.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    return model


def resnet50_imagenet():
    return torchvision.models.resnet50(num_classes=CLASSES)


class Llama(nn.Module):
    """transformers' LlamaForCausalLM, of whose tensors it has the names, from tokens to logits [rows x positions][256]."""

    def __init__(self, width, layers, heads, groups, hidden):
        super().__init__()
        from transformers import LlamaConfig, LlamaForCausalLM

        config = LlamaConfig(
            vocab_size=256, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
            num_key_value_heads=groups, intermediate_size=hidden, rms_norm_eps=1e-5, max_position_embeddings=CONTEXT,
            tie_word_embeddings=False, attn_implementation="eager",
        )
        self.llama = LlamaForCausalLM(config)

    def state_dict(self, *arguments, **named):
        return self.llama.state_dict(*arguments, **named)

    def load_state_dict(self, tensors, strict=True):
        return self.llama.load_state_dict(tensors, strict)

    def named_parameters(self, *arguments, **named):
        return self.llama.named_parameters(*arguments, **named)

    def forward(self, tokens):
        return self.llama(tokens).logits.flatten(0, 1)


# As the table in docs/networks.md has them, with the config that trains one like them.
NETWORKS = {
    "vgg16": (vgg16, "vgg16.ini"),
    "vgg16-4096": (vgg16_4096, "vgg16.ini"),
    "alexnet": (alexnet, "alexnet.ini"),
    "resnet50": (resnet50, "resnet50.ini"),
    "resnet50-imagenet": (resnet50_imagenet, "resnet50.ini"),
    "llama-1.5m": (lambda: Llama(128, 8, 4, 2, 344), None),
    "llama-6m": (lambda: Llama(256, 8, 8, 4, 688), None),
}
CONTEXT = 64


def run(*words):
    command = [str(BUILD / "tpcoord"), *map(str, words)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)}\n{result.stdout}{result.stderr}")
    return result.stdout


def test_images(checkpoint):
    """The test images as tp reads them: with a black border and three equal channels, normalised as its manifest says."""
    count = IMAGES // 5
    raw = gzip.open(FASHION / "t10k-images-idx3-ubyte.gz").read()[16 : 16 + count * 784]
    labels = gzip.open(FASHION / "t10k-labels-idx1-ubyte.gz").read()[8 : 8 + count]
    images = torch.frombuffer(bytearray(raw), dtype=torch.uint8).reshape(count, 1, 28, 28).float() / 255
    images = nn.functional.pad(images, (2, 2, 2, 2)).repeat(1, 3, 1, 1)
    said = json.loads((checkpoint / "manifest.json").read_text())["normalisation"]
    mean, deviation = (torch.tensor(said[key]).reshape(1, 3, 1, 1) for key in ("mean", "deviation"))
    return (images - mean) / deviation, torch.tensor(list(labels))


def text_of(folder):
    """A text to train on: this project's own documents, one behind the other."""
    path = folder / "text"
    if not path.exists():
        path.write_bytes(b"".join(document.read_bytes() for document in sorted((ROOT / "docs").glob("*.md"))))
    return path


def test_tokens(folder):
    """Windows of the last twentieth of the text, and the token behind each position."""
    text = text_of(folder).read_bytes()
    tokens = torch.tensor(list(text[len(text) - len(text) // 20 :]))
    count = min(IMAGES // 5, (len(tokens) - 1) // CONTEXT)
    inputs, targets = (tokens[shift : shift + count * CONTEXT].reshape(count, CONTEXT) for shift in (0, 1))
    return inputs, targets.flatten()


def loss_of(model, samples, labels):
    """In double precision, so that the difference is tp's rounding."""
    model = model.double().eval()
    samples = samples.double() if samples.is_floating_point() else samples
    with torch.no_grad():
        logits = torch.cat([model(part) for part in samples.split(50)])
    return nn.functional.cross_entropy(logits, labels).item()


def tensors_of(checkpoint):
    """All stages' tensors, without the optimizer's."""
    tensors = {}
    for path in sorted(checkpoint.glob("stage-*.safetensors")):
        if "version" not in path.name:
            tensors |= load_file(path)
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("optimizer.")}


def train(network, config, folder, name, *words):
    """A run's last checkpoint, and the loss that it reported."""
    if not config:
        words = ("--set", "data.set=text", "--set", f"data.file={text_of(folder)}", "--set", f"data.context={CONTEXT}",
                 "--set", "model.classes=256", "--set", "data.augment=no", "--set", "train.optimizer=adamw", "--set",
                 "train.lr=0.001", *words)
    run(ROOT / "configs" / (config or "resnet.ini"), "--quiet", "--epochs", 1, "--set", f"model.arch={network}", "--set",
        f"run.output={folder}", "--set", f"run.name={name}", "--set", f"data.limit={IMAGES}", *words)
    report = json.loads((folder / name / "report.json").read_text())
    return folder / name / "checkpoints" / "epoch-0001", report["epochs"][-1]["test_loss"]


def redraw(model, generator):
    """Weights that nobody would draw by accident, running statistics among them; of logits of about 1."""
    for name, value in model.state_dict().items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1, generator=generator)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 2, generator=generator)
        elif value.is_floating_point() and value.dim() == 1:
            value.uniform_(-0.2, 0.2, generator=generator)
            if f"{name.rsplit('.', 1)[0]}.running_var" in model.state_dict() and name.endswith("weight"):
                value.add_(1)


def check(network, folder):
    make, config = NETWORKS[network]
    checkpoint, said = train(network, config, folder, f"{network}-there")
    samples, labels = test_images(checkpoint) if config else test_tokens(folder)
    model = make()
    model.load_state_dict(tensors_of(checkpoint), strict=True)
    there = loss_of(model, samples, labels)

    generator = torch.Generator().manual_seed(1)
    model = make()
    redraw(model, generator)
    path = folder / f"{network}.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, path)
    # One step of next to no length. Batch norms have seen images then, so both sides take the statistics from after it.
    checkpoint, _ = train(network, config, folder, f"{network}-back", "--init", path, "--set", "train.lr=1e-30", "--set",
                          "train.weight_decay=0", "--set", f"data.batch={IMAGES}", "--set", "pipeline.microbatches=1",
                          "--set", "pipeline.system=gpipe", "--set", "pipeline.stages=2")
    begun = tensors_of(checkpoint)
    for name, value in model.named_parameters():
        assert torch.allclose(begun[name], value, rtol=0, atol=1e-20), f"{name} has changed"
    model.load_state_dict(begun, strict=True)
    back = loss_of(model, samples, labels)
    tested = json.loads(run("test", checkpoint, "--json", "-"))["test_loss"]
    good = all(math.isclose(a, b, rel_tol=LOSS_TOLERANCE) for a, b in ((said, there), (tested, back)))
    print(f"{network:18} tp {said:.6f}, {'torchvision' if config else 'transformers'} {there:.6f}; begun with PyTorch's "
          f"weights: tp {tested:.6f}, PyTorch {back:.6f}{'' if good else '   DIFFERENT'}", flush=True)
    return good


def main():
    built_in = {line.split()[0] for line in run("network").splitlines()}
    names = sys.argv[2:] or [name for name in NETWORKS if name in built_in]
    with tempfile.TemporaryDirectory() as folder:
        results = [check(name, pathlib.Path(folder)) for name in names]
    sys.exit(0 if all(results) else 1)


main()
