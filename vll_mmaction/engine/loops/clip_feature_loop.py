"""Writes the features of all clips while stock ``test.py`` runs."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, Union

import mmaction
import numpy as np
import torch
from mmaction.registry import LOOPS
from mmengine.dist import (
    all_gather_object,
    barrier,
    broadcast_object_list,
    get_dist_info,
    is_main_process,
)
from mmengine.evaluator import Evaluator
from mmengine.logging import print_log
from mmengine.runner import Runner, TestLoop
from mmengine.runner.amp import autocast
from torch import nn
from torch.utils.data import DataLoader

import vll_mmaction
from vll_mmaction.datasets import ClipBatch, ClipDatasetMixin
from vll_mmaction.datasets.feature_store import (
    FeatureStoreWriter,
    clip_rule,
    digest,
)
from vll_mmaction.models.heads.class_layer import ClassLayerInput, class_layer

from ..run_parts import unwrapped

# A process that is killed loses so many seconds of work.
FLUSH_SECONDS = 10


@LOOPS.register_module()
class ClipFeatureLoop(TestLoop):
    """Test loop that writes what the head's class layer gets of each clip.

    By ``test_cfg=dict(type='ClipFeatureLoop', out_dir=...)`` stock
    ``test.py`` writes a :class:`FeatureStore` that ``ClipFeatureDataset``
    reads. The network is any recognizer whose head ends in a linear layer;
    the mean is written over what that layer gets of a clip (crops, or the
    segments of a 2D network). ``test_dataloader.dataset`` is a clip dataset,
    or a ``ConcatDataset`` of some; a batch is whole videos of together
    ``batch_size`` clips, or so many clips of a longer one. Clips are written
    as they come, and a run that was stopped goes on when it is started
    again. Several processes (``dist_test.sh``) share the clips, if they share
    the disk of one machine.

    Args:
        runner (Runner): The runner.
        dataloader (DataLoader | dict): Of clips.
        evaluator (Evaluator | dict | list): Not used: ``[]``.
        out_dir (str): Folder to write. A relative path starts at the working
            directory.
        draws (int): Times that each clip is read, each with draws (of crops,
            flips and so on in the pipeline) of its own. Defaults to 1.
        seed (int): Seed of those draws. Defaults to 0.
        fp16 (bool): Whether to run the network in half precision; features
            are stored so anyway. Defaults to False.

    Raises:
        TypeError: The dataset's items are no clips.
        ValueError: ``max_clips`` leaves out clips, ``out_dir`` holds other
            features, or a feature is not finite.
    """

    dataloader: DataLoader

    def __init__(
        self,
        runner: Runner,
        dataloader: Union[DataLoader, dict],
        evaluator: Union[Evaluator, dict, list],
        out_dir: str,
        draws: int = 1,
        seed: int = 0,
        fp16: bool = False,
    ) -> None:
        super().__init__(runner, dataloader, evaluator, fp16)
        if draws < 1:
            raise ValueError(f'draws must be at least 1, got {draws}')
        self.out_dir, self.draws, self.seed = out_dir, draws, seed
        dataset = self.dataloader.dataset
        self._parts = list(getattr(dataset, 'datasets', [dataset]))
        for part in self._parts:
            if not isinstance(part, ClipDatasetMixin):
                raise TypeError(
                    'ClipFeatureLoop needs test_dataloader.dataset.type='
                    f"'VideoClipDataset', got {type(part).__name__}"
                )
            if not part.test_mode:
                raise ValueError(
                    'ClipFeatureLoop: a video that cannot be read would be '
                    'replaced. Set test_dataloader.dataset.test_mode=True.'
                )
            if part.clip_sampling.max_clips is not None:
                raise ValueError(
                    'ClipFeatureLoop writes all clips: leave max_clips out '
                    f'of SampleVideoClips of {part.ann_file}.'
                )

    def run(self) -> dict[str, int]:
        """Write what is not written yet.

        Returns:
            dict[str, int]: How many videos and clips there are.
        """
        model = unwrapped(self.runner.model)
        layer = class_layer(model.cls_head)
        # Stock takes it with a batch size of 1 only; a batch is bounded here.
        (model.test_cfg or {}).pop('max_testing_views', None)
        counts = np.asarray(self.dataloader.dataset.clip_counts)
        if not self._begin(model, layer, counts):
            writer = FeatureStoreWriter(self.out_dir)
            self.runner.call_hook('before_test')
            self.runner.call_hook('before_test_epoch')
            self.runner.model.eval()
            with ClassLayerInput(model.cls_head) as given:
                self._given = given
                self._write(writer, counts)
            writer.flush()
            barrier()
            self.runner.call_hook('after_test_epoch', metrics={})
            self.runner.call_hook('after_test')
            if is_main_process():
                writer.finish()
            barrier()
        print_log(
            f'The features of {counts.sum()} clips of {len(counts)} videos '
            f'are in {self.out_dir}',
            'current',
        )
        return dict(videos=len(counts), clips=int(counts.sum()))

    def unused_parameters(self) -> list[str]:
        """Names of the parameters of the class layer, within the model."""
        model = unwrapped(self.runner.model)
        own = set(map(id, class_layer(model.cls_head).parameters()))
        return [k for k, x in model.named_parameters() if id(x) in own]

    def _begin(
        self, model: nn.Module, layer: nn.Linear, counts: np.ndarray
    ) -> bool:
        """Create the store on the first process; whether it is whole."""
        state: list[Any] = [None, None]
        if is_main_process():
            try:
                about, columns = self._describe(model, layer, counts)
                state[0] = FeatureStoreWriter.create(
                    self.out_dir, about, columns
                )
            except Exception as error:  # raised on all ranks
                state[1] = error
        broadcast_object_list(state)
        if state[1] is not None:
            raise state[1]
        return state[0]

    def _describe(
        self, model: nn.Module, layer: nn.Linear, counts: np.ndarray
    ) -> tuple[dict, dict[str, np.ndarray]]:
        config = self.runner.cfg
        dataset = config.test_dataloader.dataset
        rules = [clip_rule(part.clip_sampling) for part in self._parts]
        if rules.count(rules[0]) < len(rules):
            raise ValueError(
                'ClipFeatureLoop: the datasets of test_dataloader cut clips '
                'by different rules.'
            )
        # As in the lists: ClipFeatureDataset looks them up so.
        names = [
            name
            for part in self._parts
            for name in part.data_list.columns['names']
        ]
        weights = weights_digest(model, layer)
        about = dict(
            source=digest([config.get('model'), weights]),
            clip_rule=rules[0],
            shape=[int(counts.sum()), self.draws, layer.in_features],
            pipeline=digest(
                [x.pipeline for x in dataset.get('datasets', [dataset])]
            ),
            seed=self.seed,
            model=config.get('model'),
            config=config.filename,
            checkpoint=self.runner._load_from,
            weights=weights,
            lists=[part.ann_file for part in self._parts],
            versions=dict(
                vll_mmaction=vll_mmaction.__version__,
                mmaction2=mmaction.__version__,
                torch=torch.__version__,
            ),
        )
        return about, dict(
            filenames=np.array(names, dtype=np.str_),
            labels=np.concatenate([part.labels for part in self._parts]),
            total_frames=np.concatenate(
                [part.frame_counts for part in self._parts]
            ),
        )

    def _write(self, writer: FeatureStoreWriter, counts: np.ndarray) -> None:
        rank, world_size = get_dist_info()
        size = self.dataloader.batch_sampler.batch_size
        left = writer.remaining()
        if not left.all():
            print_log(f'{(~left).sum()} clips are written already', 'current')
        batches = [
            ClipBatch(clips, key=(self.seed, draw))
            for draw in range(self.draws)
            for clips in _cut(counts, left[:, draw], size)
        ]
        # Side by side, so that a long video is not read by all ranks.
        # Also waits until all have read what is left, before any writes.
        steps = max(all_gather_object(-(-len(batches) // world_size)))
        batches = batches[rank * steps : (rank + 1) * steps]
        self.dataloader = _with_batches(self.dataloader, batches)
        flushed = time.monotonic()
        for number, data_batch in enumerate(self.dataloader):
            self.run_iter(number, data_batch)
            self._store(writer, batches[number])
            if time.monotonic() - flushed > FLUSH_SECONDS:
                writer.flush()
                flushed = time.monotonic()

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: Sequence[dict]) -> None:
        """Run the network on a batch of clips."""
        self.runner.call_hook(
            'before_test_iter', batch_idx=idx, data_batch=data_batch
        )
        with autocast(enabled=self.fp16):
            self._outputs = self.runner.model.test_step(data_batch)
        self.runner.call_hook(
            'after_test_iter',
            batch_idx=idx,
            data_batch=data_batch,
            outputs=self._outputs,
        )

    def _store(self, writer: FeatureStoreWriter, batch: ClipBatch) -> None:
        features = self._given.take(len(batch)).float()
        half = features.half()
        good = half.isfinite().all(dim=1)
        if not good.all():
            sample = self._outputs[int((~good).nonzero()[0])]
            raise ValueError(
                f'{sample.get("filename")}, clip {sample.get("clip_id")}: '
                'its feature is not finite in half precision (largest number '
                f'{features.abs().max():g}). Look at the checkpoint, and at '
                'mean and std of the data_preprocessor.'
            )
        frames = [sample.get('frame_inds') for sample in self._outputs]
        _, draw = batch.key or (self.seed, 0)
        writer.write(list(batch), draw, half.cpu().numpy(), np.stack(frames))


def weights_digest(model: nn.Module, layer: nn.Linear) -> str:
    """Hash of all weights but those of the class layer."""
    own = {id(value) for value in layer.parameters()}
    parts = []
    for name, value in model.state_dict(keep_vars=True).items():
        if id(value) not in own:
            data = value.detach().cpu().contiguous().flatten()
            data = data.view(torch.uint8).numpy().data
            parts.append((name, hashlib.sha256(data).hexdigest()))
    return digest(parts)


def _cut(counts: np.ndarray, left: np.ndarray, size: int) -> Iterator[list]:
    """Rows that are left in batches of whole videos, or of a part of one."""
    batch: list[int] = []
    ends = np.cumsum(counts)
    for first, end in zip((ends - counts).tolist(), ends.tolist()):
        rows = (np.flatnonzero(left[first:end]) + first).tolist()
        if batch and len(batch) + len(rows) > size:
            yield batch
            batch = []
        while len(rows) > size:
            yield rows[:size]
            rows = rows[size:]
        batch = batch + rows
    if batch:
        yield batch


def _with_batches(loader: DataLoader, batches: list) -> DataLoader:
    """The same data loader, of these batches."""
    return DataLoader(
        loader.dataset,
        batch_sampler=batches,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
        timeout=loader.timeout,
        worker_init_fn=loader.worker_init_fn,
        prefetch_factor=loader.prefetch_factor,
    )
