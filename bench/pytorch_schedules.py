#!/usr/bin/env python3
"""Schedule files and PyTorch: writes those of PyTorch's own seven schedules, or checks files with PyTorch's validator.

Usage: bench/pytorch_schedules.py write FOLDER     (tests/golden/pytorch was made so)
       bench/pytorch_schedules.py check FILE...    (such as tpcoord plan CONFIG --csv FILE)

Needs: pip install torch (2.15). No processes are started: a schedule's order is computed from a few numbers, which are
given to it here in place of a process group and stages.
"""
import csv
import pathlib
import sys
from types import SimpleNamespace

import torch
from torch.distributed.pipelining import schedules

# Name, class, ranks, stages per rank, micro-batches.
WRITTEN = [
    ("gpipe", schedules.ScheduleGPipe, 3, 1, 4),
    ("1f1b", schedules.Schedule1F1B, 4, 1, 6),
    ("interleaved-1f1b", schedules.ScheduleInterleaved1F1B, 2, 3, 4),
    ("looped-bfs", schedules.ScheduleLoopedBFS, 2, 2, 3),
    ("interleaved-zero-bubble", schedules.ScheduleInterleavedZeroBubble, 3, 2, 6),
    ("zbv-zero-bubble", schedules.ScheduleZBVZeroBubble, 3, 2, 6),
    ("dualpipe-v", schedules.ScheduleDualPipeV, 2, 2, 5),
]


def order_of(kind, ranks, local, microbatches):
    """What the class's constructor computes, without its process group."""
    schedule = kind.__new__(kind)
    schedule._n_microbatches = microbatches
    schedule._num_stages = schedule.num_stages = ranks * local
    schedule._stages = [SimpleNamespace(is_first=False)] * local
    schedule.pp_group_size = ranks
    schedule.n_local_stages = local
    schedule.number_of_rounds = max(1, microbatches // ranks)
    schedule.microbatches_per_round = microbatches // schedule.number_of_rounds
    if issubclass(kind, schedules.PipelineScheduleSingle):
        schedule.pipeline_order = schedule._get_pipeline_order()
        return schedule
    schedule.pipeline_order = {rank: schedule._calculate_single_rank_operations(rank) for rank in range(ranks)}
    if kind is schedules.ScheduleInterleavedZeroBubble:
        schedule.pipeline_order = schedule._add_bubbles_to_actions(ranks * local)
    return schedule


def validate(order):
    """PyTorch's check of the order, with the stages and micro-batches that are in it; and its simulation of what it
    makes of it, with sends and receives, which finds deadlocks. That knows no pairs: there they are two ops."""
    leaves = {
        rank: [leaf for action in row if action for leaf in (action.sub_actions or (action,)) if leaf.is_compute_op]
        for rank, row in order.items()
    }
    stages = 1 + max(action.stage_index for row in leaves.values() for action in row)
    microbatches = 1 + max(action.microbatch_index for row in leaves.values() for action in row)
    ranks = schedules._validate_schedule(order, len(order), stages, microbatches)
    lowered = schedules._add_send_recv(leaves, ranks.__getitem__, stages)
    schedules._simulate_comms_compute(lowered, ranks.__getitem__, stages)
    return stages, microbatches


def count_from_0(order):
    """Schedule1F1B's order (2.15) numbers the last rank's forwards from 1; what it runs, it numbers from 0."""
    rows = {}
    for rank, row in order.items():
        forwards = [action.microbatch_index for action in row if action and action.computation_type == schedules.F]
        rows[rank] = [
            action._replace(microbatch_index=action.microbatch_index - min(forwards))
            if action and action.computation_type == schedules.F
            else action
            for action in row
        ]
    return rows


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, kind, ranks, local, microbatches in WRITTEN:
        schedule = order_of(kind, ranks, local, microbatches)
        try:
            validate(schedule.pipeline_order)
        except AssertionError as error:
            schedules.PipelineScheduleMulti._dump_csv(schedule, folder / f"{name}-as-written.csv")
            print(f"{name}: PyTorch's validator refuses PyTorch's order: {str(error).splitlines()[0]}")
            schedule.pipeline_order = count_from_0(schedule.pipeline_order)
            validate(schedule.pipeline_order)
        schedules.PipelineScheduleMulti._dump_csv(schedule, folder / f"{name}.csv")


def check(path):
    """As PipelineScheduleMulti._load_csv reads it, and to the end of each cell, where that stops early."""
    with open(path, newline="") as file:
        cells = dict(enumerate(csv.reader(file)))
    order = {rank: [schedules._Action.from_str(cell) for cell in row] for rank, row in cells.items()}
    for rank, row in order.items():
        for action, cell in zip(row, cells[rank], strict=True):
            assert str(action or "") == cell, f"{path}: {cell} is read as {action}"
    stages, microbatches = validate(order)
    print(f"{path}: {len(order)} ranks, {stages} stages, {microbatches} micro-batches: as PyTorch wants it")


def main():
    arguments = sys.argv[1:]
    if len(arguments) == 2 and arguments[0] == "write":
        write(pathlib.Path(arguments[1]))
    elif len(arguments) >= 2 and arguments[0] == "check":
        print(f"PyTorch {torch.__version__}")
        for path in arguments[1:]:
            check(path)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
