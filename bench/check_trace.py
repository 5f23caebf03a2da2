#!/usr/bin/env python3
"""Perfetto's own trace processor reads the traces that tp writes: it finds every op, arrow and counter that is in the file.

Usage: bench/check_trace.py TRACE.json...   (tpcoord --trace, tpmon --replay FILE --trace)
Needs the package perfetto from PyPI, which fetches its trace processor when it first runs; exits with 77 without them.
"""
import json
import sys


def main(paths):
    if not paths:
        print(__doc__.strip())
        return 2
    try:
        from perfetto.trace_processor import TraceProcessor

        processor = TraceProcessor(trace=paths[0])
        processor.close()
    except Exception as reason:  # whatever is missing, it is not the trace
        print(f"skipped: Perfetto's trace processor cannot be had: {reason}")
        return 77
    wrong = 0
    for path in paths:
        with open(path) as file:
            events = json.load(file)
        expected = {
            "slice": sum(event["ph"] == "X" for event in events),
            "flow": sum(event["ph"] == "s" for event in events),
            "counter": sum(len(event["args"]) for event in events if event["ph"] == "C"),
        }
        processor = TraceProcessor(trace=path)
        for table, count in expected.items():
            found = next(iter(processor.query(f"select count(*) as n from {table}"))).n
            verdict = "as written" if found == count else f"but {count} were written"
            wrong += found != count
            print(f"{path}: {found} in {table}, {verdict}")
        errors = processor.query("select name, value from stats where severity = 'error' and value > 0")
        for error in errors:
            wrong += 1
            print(f"{path}: {error.name}: {error.value}")
        processor.close()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
