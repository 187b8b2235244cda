"""Runs the parts of gpu_check.sh, each in a process with a limit of its own.

After each part ``report.md`` and ``report.json`` are written anew, so that
what stops the whole leaves what was found till then.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from limited import run_for

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / 'tools/benchmarks'
BUDGET = 400  # seconds for all, so that seven minutes hold what is around
FOR_THE_LAST = 120  # of them, at least
QUICK_LIMIT = 600  # for each, whatever the machine does besides


@dataclass
class Part:
    """One question, its answer, and how it was found.

    Args:
        title (str): The question.
        words (list[str]): Command line, after Python.
        limit (float): Seconds after which it is stopped.
        cuda (bool): Whether it is left out without a GPU.
    """

    title: str
    words: list[str]
    limit: float
    cuda: bool = False  # whether it makes no sense without
    state: str = 'not begun'
    seconds: float = 0
    tables: list[list[list[str]]] = field(default_factory=list)
    output: str = ''


def all_parts(out: Path, quick: bool) -> list[Part]:
    """What is asked, in this order; the last one takes what time is left."""
    small = ['--quick'] if quick else []
    data = ['--work', str(out / 'work'), *small]
    here = Path(__file__).parent
    step = [str(BENCHMARKS / 'train_step.py'), *small]
    tests = [
        str(ROOT / 'tests/test_models' / name)
        for name in (
            'test_heads/test_video_level_heads.py',
            'test_losses/test_video_level_loss.py',
        )
    ]
    killed = ROOT / 'tests/stress/kill_resume.py'
    return [
        Part('The environment', ['-m', 'vll_mmaction', 'doctor'], 40),
        Part(
            'Loss and head do not make the host wait (sync debug mode: error)',
            ['-m', 'pytest', '-q', '-rs', '-p', 'no:cacheprovider']
            + ['-k', 'cuda_does_not_synchronise', *tests],
            60,
            True,
        ),
        Part('Training step', [*step, '--no-compile'], 60),
        Part(
            'Memory of long videos: flat?',
            [str(BENCHMARKS / 'memory.py'), '--flat', '--rounds', '1', *small],
            75,
        ),
        Part(
            "The host's ceiling against the network",
            [str(here / 'host.py'), *data],
            60,
        ),
        Part(
            'Stock train.py, one rank, half precision, pinned batches, '
            'deterministic: killed and resumed, equal to the bit?',
            [str(killed), '--work', str(out / 'work/killed')]
            + ['--cases', '6', '--kills', '1' if quick else '2'],
            90,
        ),
        Part('Training step, compiled', [*step, '--compile'], 90, True),
        Part(
            'C3D-lite of full width, clip level against video level',
            [str(here / 'full_width.py'), *data],
            10**9,
        ),
    ]


def has_cuda() -> bool:
    """Whether PyTorch sees a GPU, asked in another process."""
    code = 'import sys, torch; sys.exit(not torch.cuda.is_available())'
    return not subprocess.run([sys.executable, '-c', code]).returncode


def run(part: Part, seconds: float, log: Path, cuda: bool) -> None:
    """Run a part for so long, on a GPU or without, and fill it in."""
    env = dict(
        os.environ,
        PYTHON=sys.executable,
        PYTHONUNBUFFERED='1',
        PYTHONWARNINGS='ignore',
        # Of --deterministic, and of a process that forks trainings.
        CUBLAS_WORKSPACE_CONFIG=':4096:8',
        PYTORCH_NVML_BASED_CUDA_CHECK='1',
        GPU_CHECK_SECONDS=str(seconds),
    )
    if not cuda:
        env.update(CUDA_VISIBLE_DEVICES='-1', OMP_NUM_THREADS='1')
    began = time.monotonic()
    words = [sys.executable, *part.words]
    code = run_for(seconds, words, log, cwd=log.parent, env=env)
    part.seconds = round(time.monotonic() - began, 1)
    part.state = 'done' if code == 0 else f'failed ({code})'
    if code is None:
        part.state = f'stopped after {seconds:.0f} s'
    part.output = log.read_text(errors='replace')
    part.tables = tables(part.output)


def tables(text: str) -> list[list[list[str]]]:
    """The Markdown tables in a text: tables of rows of cells."""
    return [
        [
            [cell.strip() for cell in line[1:-1].split('|')]
            for line in block.splitlines()
            if set(line) - set('|-: ')
        ]
        for block in re.findall(r'(?:^\| .*\n?)+', text, re.M)
    ]


def write(out: Path, parts: list[Part], seconds: float) -> None:
    """Write both reports of all parts, done or not."""
    lines = [f'# GPU check\n\n{seconds:.0f} s in all.\n']
    for part in parts:
        lines.append(f'## {part.title}\n')
        lines.append(f'{part.state}, {part.seconds} s\n')
        said = part.output.strip()
        if said and not (part.tables and part.state == 'done'):
            said = f'```text\n{said[-4000:]}\n```'
        lines.append(said + '\n')
    rows = dict(seconds=seconds, parts=[asdict(part) for part in parts])
    for name, text in (
        ('report.md', '\n'.join(lines)),
        ('report.json', json.dumps(rows, indent=1)),
    ):
        new = out / f'{name}.new'
        new.write_text(text, encoding='utf-8')
        new.replace(out / name)


def main() -> None:
    """Run all parts, whatever becomes of any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('out', type=Path)
    parser.add_argument('--device', choices=['cpu'], default='')
    parser.add_argument('--quick', action='store_true')
    args = parser.parse_args()
    cuda = args.device != 'cpu' and has_cuda()
    parts = all_parts(args.out, args.quick)
    (args.out / 'work').mkdir(exist_ok=True)
    began = time.monotonic()
    writing = threading.Lock()

    def one(number: int) -> None:
        part = parts[number]
        left = BUDGET - (time.monotonic() - began)
        if part is not parts[-1]:
            left -= FOR_THE_LAST
        # Nothing is measured in a quick run, on machines of any speed.
        seconds = QUICK_LIMIT if args.quick else min(part.limit, left)
        if part.cuda and not cuda:
            part.state = 'left out, it needs CUDA'
        elif seconds < 5:
            part.state = 'left out, no time was left'
        else:
            log = args.out / f'part_{number + 1}.log'
            run(part, seconds, log, cuda)
        with writing:
            print(f'{part.state}, {part.seconds} s: {part.title}', flush=True)
            write(args.out, parts, round(time.monotonic() - began, 1))

    workers = (os.cpu_count() or 1) if args.quick else 1
    with ThreadPoolExecutor(workers) as pool:
        for done in [pool.submit(one, number) for number in range(len(parts))]:
            done.result()
    print(args.out / 'report.md')
    bad = [x for x in parts if x.state.startswith(('failed', 'stopped'))]
    sys.exit(bool(bad))


if __name__ == '__main__':
    main()
