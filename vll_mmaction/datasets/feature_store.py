"""Features of clips on disk: written bit by bit, read without loading.

A store is a folder of plain numpy files and ``about.json``. While it is
written, its name ends in ``.part``; renaming is the last thing done.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np

from .transforms.clip_sampling import ClipSampling

FORMAT = 'vll_mmaction clip features'
FORMAT_VERSION = 1
# Videos that a message names of many.
_SHOWN = 5
# Choose among the clips of a video; the others say where clips are.
CHOICE = ('max_clips', 'keep')


def clip_rule(sampling: ClipSampling) -> dict:
    """What of a clip sampling says where the clips of a video are."""
    rule = dict(vars(sampling), clip_stride=sampling.stride)
    return {name: rule[name] for name in rule if name not in CHOICE}


def some_of(names: Sequence[str]) -> str:
    """The first of many names, for a message."""
    shown = ', '.join(names[:_SHOWN])
    more = len(names) - _SHOWN
    return f'{shown} and {more} more' if more > 0 else shown


class FeatureStore:
    """Features of the clips of V videos, mapped into memory.

    Pickles as its path: each process maps the file anew.

    Args:
        path (str): Folder that ``ClipFeatureLoop`` wrote.

    Attributes:
        filenames (ndarray): (V,) str, as the annotation list has them.
        total_frames (ndarray): (V,) int64.
        clip_counts (ndarray): (V,) int64; they sum to M.
        sampling (ClipSampling): The rule by which clips were cut.
        source (str): Names the network and its weights.
        about (dict): Content of ``about.json``: config, versions, shapes.

    Raises:
        FileNotFoundError: There is no such store, or it was not finished.
        ValueError: A file of it is cut short or of another version.
    """

    def __init__(self, path: Union[str, Path]) -> None:
        self.path = str(path)
        file = Path(path, 'about.json')
        if not file.is_file():
            raise FileNotFoundError(self._missing(Path(path)))
        self.about = json.loads(file.read_text())
        if self.about.get('format') != FORMAT:
            raise ValueError(f'{file} is not of clip features')
        if self.about['version'] != FORMAT_VERSION:
            raise ValueError(
                f'{file} has version {self.about["version"]}, this '
                f'vll_mmaction reads {FORMAT_VERSION}: write the features anew'
            )
        self.source: str = self.about['source']
        self.sampling = ClipSampling(**self.about['clip_rule'])
        self.filenames = self._map('filenames')
        self.total_frames = self._map('total_frames')
        self.clip_counts = self.sampling.count(self.total_frames)
        self._ends = np.cumsum(self.clip_counts)
        self._features: Optional[np.ndarray] = None
        shape = self.features.shape
        if list(shape) != self.about['shape'] or shape[0] != self._ends[-1]:
            raise ValueError(
                f'{self.path}/features.npy holds {shape} numbers, '
                f'about.json says {self.about["shape"]}, its videos have '
                f'{self._ends[-1]} clips: write the features anew'
            )

    @staticmethod
    def _missing(path: Path) -> str:
        if part_of(path).exists():
            return (
                f'The features {path} are not finished: {part_of(path)} is '
                'there. Start the same test.py again; it goes on.'
            )
        return (
            f'There are no clip features in {path}. Write them by test.py '
            "with test_cfg=dict(type='ClipFeatureLoop', out_dir=...)."
        )

    def _map(self, name: str) -> np.ndarray:
        path = f'{self.path}/{name}.npy'
        try:
            return np.load(path, mmap_mode='r', allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(
                f'{path} cannot be read, or was cut short ({error}): write '
                'the features anew'
            ) from error

    @property
    def features(self) -> np.ndarray:
        """ndarray: (M, draws, D) float16, in order of videos and clips."""
        if self._features is None:
            self._features = self._map('features')
        return self._features

    @property
    def frame_inds(self) -> np.ndarray:
        """ndarray: (M, clip_len) int32, frames of each clip."""
        return self._map('frame_inds')

    def first_clips(self) -> np.ndarray:
        """Row of the first clip of each video, (V,) int64."""
        return self._ends - self.clip_counts

    def check_rule(self, sampling: ClipSampling, where: str) -> None:
        """Refuse clips that are cut by another rule than those of a config.

        Args:
            sampling (ClipSampling): Of the config; which of the clips it
                keeps is its own business.
            where (str): Names the config's part in the message.

        Raises:
            ValueError: They differ.
        """
        wanted, given = clip_rule(sampling), clip_rule(self.sampling)
        differ = [name for name in given if wanted[name] != given[name]]
        if differ:
            ours = ', '.join(f'{x}={wanted[x]!r}' for x in differ)
            theirs = ', '.join(f'{x}={given[x]!r}' for x in differ)
            raise ValueError(
                f'{where} cuts clips by {ours}, but the clips of '
                f'{self.path} were cut by {theirs}: correct '
                'SampleVideoClips, or write the features anew.'
            )

    def __getstate__(self) -> dict:
        return dict(path=self.path)

    def __setstate__(self, state: dict) -> None:
        self.__init__(state['path'])


def part_of(path: Union[str, Path]) -> Path:
    """Folder in which a store is written until it is whole."""
    return Path(f'{path}.part')


def digest(value: Any) -> str:
    """Short name of anything that JSON can write."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class FeatureStoreWriter:
    """Writes a store; goes on with one that was begun.

    Several processes may write different clips of one store: one calls
    :meth:`create` before, :meth:`finish` after all the others.

    Args:
        path (str): Folder of the store.
    """

    def __init__(self, path: str) -> None:
        self.path, self._part = Path(path), part_of(path)
        self._features = self._open('features')
        self._frames = self._open('frame_inds')
        self._written = self._open('written')
        self._unmarked: list[tuple] = []

    def _open(self, name: str) -> np.ndarray:
        return np.load(self._part / f'{name}.npy', mmap_mode='r+')

    @staticmethod
    def create(
        path: str, about: Mapping[str, Any], columns: Mapping[str, np.ndarray]
    ) -> bool:
        """Begin a store, unless it is there or begun.

        Args:
            path (str): Folder of the store.
            about (dict): What ``about.json`` will hold: ``source``,
                ``clip_rule``, ``shape`` (M, draws, D) and more.
            columns (dict[str, ndarray]): Arrays of V videos.

        Returns:
            bool: Whether it is there and whole.

        Raises:
            ValueError: What is there, whole or begun, is of another network,
                rule or list.
        """
        part, whole = part_of(path), Path(path)
        # How it was made decides, not by which version or when.
        columns_digest = digest({k: v.tolist() for k, v in columns.items()})
        decides = ('source', 'clip_rule', 'shape', 'pipeline', 'seed')
        name = digest([*(about[key] for key in decides), columns_digest])
        about = dict(
            about, format=FORMAT, version=FORMAT_VERSION, fingerprint=name
        )
        for folder in (whole, part):
            file = folder / 'about.json'
            if not file.is_file():
                continue
            found = json.loads(file.read_text())
            if found.get('fingerprint') != name:
                differ = [k for k in decides if found.get(k) != about[k]]
                raise ValueError(
                    f'{folder} was written with another '
                    f'{" and ".join(differ) or "list of videos"}: choose '
                    'another out_dir, or remove it.'
                )
            return folder == whole
        if whole.exists():
            raise ValueError(f'{whole} is there and holds no clip features')
        part.mkdir(parents=True, exist_ok=True)
        clips, draws, _ = about['shape']
        clip_len = about['clip_rule']['clip_len']
        for column, values in columns.items():
            np.save(part / f'{column}.npy', values)
        for array, dtype, shape in (
            ('features', np.float16, tuple(about['shape'])),
            ('frame_inds', np.int32, (clips, clip_len)),
            ('written', np.bool_, (clips, draws)),
        ):
            np.lib.format.open_memmap(
                part / f'{array}.npy', 'w+', dtype, shape
            ).flush()
        # Last: with it the folder is one that can be gone on with.
        temporary = part / 'about.json.tmp'
        temporary.write_text(json.dumps(about, indent=1) + '\n')
        os.replace(temporary, part / 'about.json')
        return False

    def remaining(self) -> np.ndarray:
        """Whether a clip is still to be written, (M, draws) bool."""
        return ~np.asarray(self._written)

    def write(
        self,
        rows: Sequence[int],
        draw: int,
        features: np.ndarray,
        frame_inds: np.ndarray,
    ) -> None:
        """Write some clips; they count as written from :meth:`flush` on.

        Args:
            rows (Sequence[int]): Their (n,) rows.
            draw (int): Number of the draw.
            features (ndarray): (n, D) of finite numbers.
            frame_inds (ndarray): (n, clip_len) integers.
        """
        self._features[rows, draw] = features
        self._frames[rows] = frame_inds
        self._unmarked.append((rows, draw))

    def flush(self) -> None:
        """Bring to disk what was written, then mark it as written."""
        self._features.flush()
        self._frames.flush()
        for rows, draw in self._unmarked:
            self._written[rows, draw] = True
        self._unmarked.clear()
        self._written.flush()

    def finish(self) -> None:
        """Give the store its name, once all processes have flushed.

        Raises:
            RuntimeError: Clips are missing.
        """
        missing = int(self.remaining().sum())
        if missing:
            raise RuntimeError(
                f'{missing} clips of {self._part} are not written: start '
                'the same test.py again; it goes on.'
            )
        os.replace(self._part, self.path)
        (self.path / 'written.npy').unlink()
