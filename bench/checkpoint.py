#!/usr/bin/env python3
"""Loads a checkpoint with the safetensors package, as anyone would, and compares it number by number with a reading of
the bytes by hand, and its layout with what PyTorch's layers of these shapes would have.

Usage: bench/checkpoint.py RUN/checkpoints/epoch-0003      (needs: pip install safetensors numpy; torch is tried too)
"""
import json
import pathlib
import re
import struct
import sys
import zlib

import numpy
from safetensors.numpy import load_file

try:
    from safetensors.torch import load_file as load_torch
except ImportError:
    load_torch = None


def by_hand(path):
    """Length, header, then floats, in Python alone."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    tensors = {}
    for name, entry in json.loads(raw[8 : 8 + length]).items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        assert entry["dtype"] == "F32", name
        tensors[name] = (entry["shape"], struct.unpack(f"<{(end - begin) // 4}f", raw[begin:end]))
    return raw, tensors


def check_file(path, listed):
    raw, expected = by_hand(path)
    assert len(raw) == listed["bytes"] and zlib.crc32(raw) == listed["crc32"], path
    loaded = load_file(path)
    assert loaded.keys() == expected.keys(), path
    if load_torch:
        torch = load_torch(path)
        assert all(numpy.array_equal(torch[name].numpy(), loaded[name]) for name in loaded), path
    for name, (shape, values) in expected.items():
        assert list(loaded[name].shape) == shape, name
        assert loaded[name].reshape(-1).tolist() == list(values), name
        twin = re.sub(r"^optimizer\.\w+\.", "", name)
        assert shape == expected[twin][0] if twin in expected else name.startswith("version."), name
    return sum(values.size for values in loaded.values()), loaded


def main():
    folder = pathlib.Path(sys.argv[1])
    manifest = json.loads((folder / "manifest.json").read_text())
    numbers, names = 0, set()
    for listed in manifest["files"]:
        count, loaded = check_file(folder / listed["name"], listed)
        assert not names & loaded.keys() or "version" in listed["name"], listed["name"]
        names |= loaded.keys()
        numbers += count
        for name, values in loaded.items():
            print(f"{listed['name']:24} {name:44} {'x'.join(map(str, values.shape)):>14} {values.std():12.6f}")
    print(f"{len(manifest['files'])} files, {len(names)} tensors, {numbers} numbers: the same in every reading"
          f"{', also with torch' if load_torch else ''}")


main()
