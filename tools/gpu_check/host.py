"""How many clips a second can the host deliver, and the network take?

Batches of whole videos come through the data loader of a real config, from
workers that read generated videos: as many as there are cores, less one. What
the main process alone could take follows from its processor time a clip. The
network trains on one such batch, again and again.
"""

import logging
import time

from generated import arguments, make_data, write_config
from mmengine.config import Config
from mmengine.runner import Runner
from train_step import VARIANTS, Step, make_batch

import vll_mmaction  # noqa: F401

SECONDS = 10  # for each of the two


def main() -> None:
    """Print the table."""
    from bench_common import markdown
    from mmaction.utils import register_all_modules

    args = arguments(__doc__.splitlines()[0])
    seconds = 1 if args.quick else SECONDS
    register_all_modules()
    logging.disable(logging.INFO)
    data = make_data(args.work, args.quick)
    path = args.work / 'host.py'
    write_config(path, 'vll_c3d_finetune', data, args.quick)
    config = Config.fromfile(path)
    loader = Runner.build_dataloader(config.train_dataloader, seed=0)
    clips, batches, taken, waited, epoch = 0, 0, 0.0, 0.0, 0
    # The first epoch starts the workers and counts the frames.
    while epoch == 0 or waited < seconds:
        loader.batch_sampler.sampler.set_epoch(epoch)
        began, used = time.perf_counter(), time.process_time()
        found = [len(batch['inputs']) for batch in loader]
        if epoch:
            clips, batches = clips + sum(found), batches + len(found)
            waited += time.perf_counter() - began
            taken += time.process_time() - used
        epoch += 1

    rows = [
        (f'{loader.num_workers} workers, delivered', f'{clips / waited:.0f}'),
        ('the main process receives, at most', f'{clips / taken:.0f}'),
    ]
    for name in ('fp32', 'bf16, channels_last_3d'):
        size = (2, 2) if args.quick else (8, clips // batches // 8)
        batch = make_batch(*size)
        step = Step(VARIANTS[name], 16 if args.quick else 1, batch)
        step.run(apart=False)
        began, steps = time.perf_counter(), 0
        while time.perf_counter() - began < seconds / 2:
            step.run(apart=False)
            steps += 1
        rate = steps * size[0] * size[1] / (time.perf_counter() - began)
        rows.append((f'the network trains, {name}', f'{rate:.0f}'))
    print(markdown(('', 'clips a second'), rows))


if __name__ == '__main__':
    main()
