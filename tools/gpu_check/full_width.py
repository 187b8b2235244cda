"""Trains C3D-lite of full width by the quickstart's recipe, for a given time.

Two fifths of the time go to a clip-level start; from its convolutions one
training goes on at clip level and one at video level, each for half of the
rest. Each is stopped when its time is up; the table has the last epoch that
both have validated.
"""

import json
import os
import time
from pathlib import Path

from generated import ROOT, arguments, make_data, write_config
from limited import run_for

EPOCHS = """
train_cfg = dict(max_epochs={epochs}, val_interval=1)
param_scheduler = []
default_hooks = dict(
    checkpoint=dict(interval=1, max_keep_ckpts=1, save_best=None))
"""
SHOWN = ('acc/top1', 'clip/clip_acc', 'clip/agreement')


def train(config: Path, seconds: float, convs: str, cuda: bool) -> Path:
    """Start dist_train.sh from a checkpoint, and stop it when its time is up.

    On one GPU with mixed precision, or on the CPU.

    Returns:
        Path: The work folder.
    """
    work = config.with_suffix('')
    words = ['bash', str(ROOT / 'tools/dist_train.sh'), str(config)]
    words += [f'{int(cuda)}', '--work-dir', str(work), '--seed', '0']
    words += ['--amp'] * cuda
    words += ['--cfg-options', f'model.backbone.pretrained_convs={convs}']
    log = work.with_suffix('.log')
    if run_for(seconds, words, log):
        print(log.read_text(errors='replace')[-3000:])
        raise SystemExit(f'{config.name} failed')
    return work


def validations(work: Path) -> list[dict]:
    """Figures of the validations, by epoch."""
    rows = []
    for path in sorted(work.glob('*/vis_data/scalars.json')):
        for line in path.read_text(encoding='utf-8').splitlines():
            row = json.loads(line)
            if SHOWN[0] in row:
                rows.append(row)
    return rows


def main() -> None:
    """Train three times and print the table."""
    import torch
    from bench_common import markdown

    args = arguments(__doc__.splitlines()[0])
    began = time.monotonic()
    whole = float(os.environ.get('GPU_CHECK_SECONDS', 300)) - 10
    data = make_data(args.work, args.quick)
    convs, rows = 'None', {}
    names = ('clip_c3d', 'clip_c3d_finetune', 'vll_c3d_finetune')
    for left, name in zip((2.5, 2, 1), names):
        config = write_config(
            args.work / f'{name}.py',
            name,
            data,
            args.quick,
            EPOCHS.format(epochs=1 if args.quick else 1000),
        )
        seconds = (whole - (time.monotonic() - began)) / left
        cuda = torch.cuda.is_available()
        work = train(config, seconds, convs, cuda)
        rows[name] = validations(work)
        if convs == 'None':
            last = work / 'last_checkpoint'
            if not last.exists():
                raise SystemExit('no epoch ended in the time that was left')
            convs = last.read_text().strip()
    common = min(len(found) for found in list(rows.values())[1:])
    if not common:
        raise SystemExit('no epoch was validated in the time that was left')
    cells = [
        (name, epoch, *(f'{100 * found[epoch - 1][x]:.1f}%' for x in SHOWN))
        for name, found in rows.items()
        for epoch in [common if name != names[0] else len(found)]
        if found
    ]
    print(markdown(('training', 'epoch', *SHOWN), cells))


if __name__ == '__main__':
    main()
