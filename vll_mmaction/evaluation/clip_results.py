"""A file of the clip scores of videos."""

import os
import os.path as osp
import zipfile
import zlib
from dataclasses import dataclass, field

import numpy as np

_FORMAT = 'vll_mmaction clip results'
_FORMAT_VERSION = 2
# Version 1 had no clip weights.
_READ_VERSIONS = (1, _FORMAT_VERSION)


@dataclass
class ClipResults:
    """Clip scores of V videos, as ``ClipConsistencyMetric`` writes them.

    A row of scores is a view: a clip, or one crop of it if the test takes
    several crops. Rows of video v are ``video_offsets[v]`` to
    ``video_offsets[v + 1]``; the views of a clip are side by side.

    Attributes:
        clip_scores (ndarray): Probabilities, (M, K) float32.
        video_offsets (ndarray): (V + 1,) int64, from 0 to M.
        labels (ndarray): Classes, (V,) int64, -1 where unknown.
        filenames (ndarray): (V,) str, ``''`` where unknown.
        frame_inds (ndarray): Frame numbers as the pipeline reads them, clip
            after clip, (F,) int64.
        frame_offsets (ndarray): Frames of video v are ``frame_offsets[v]``
            to ``frame_offsets[v + 1]``, (V + 1,) int64; none where unknown.
        total_frames (ndarray): (V,) int64, -1 where unknown.
        views_per_clip (ndarray): (V,) int64, 1 where unknown.
        class_names (ndarray): (K,) str, or (0,) where unknown.
        config_name (ndarray): () str, name of the run's config.
        clip_weights (ndarray): Weights of the views by attention, which sum
            to one in each video, (M,) float32; (0,) where the head has none.
    """

    clip_scores: np.ndarray
    video_offsets: np.ndarray
    labels: np.ndarray
    filenames: np.ndarray
    frame_inds: np.ndarray
    frame_offsets: np.ndarray
    total_frames: np.ndarray
    views_per_clip: np.ndarray
    class_names: np.ndarray
    config_name: np.ndarray
    clip_weights: np.ndarray = field(
        default_factory=lambda: np.zeros(0, np.float32)
    )

    def __len__(self) -> int:
        return len(self.labels)

    def split(self, rows: np.ndarray) -> list[np.ndarray]:
        """What belongs to each video, of an array that has M rows."""
        return np.split(rows, self.video_offsets[1:-1])

    def split_weights(self) -> list[np.ndarray]:
        """Weight of each clip of each video, (m,) float64; [] without."""
        if not self.clip_weights.size:
            return []
        weights = self.split(self.clip_weights.astype(np.float64))
        return [
            x.reshape(-1, views).sum(axis=1)
            for x, views in zip(weights, self.views_per_clip)
        ]

    def sums(self, rows: np.ndarray) -> np.ndarray:
        """Sum over the rows of each video, (M,) to (V,) float64."""
        starts = self.video_offsets[:-1]
        return np.add.reduceat(rows.astype(np.float64), starts)


def load_clip_results(path: str) -> ClipResults:
    """Read a file that ``ClipConsistencyMetric`` wrote.

    Nothing of the file is executed: pickled data is refused.

    Args:
        path (str): The ``.npz`` file.

    Returns:
        ClipResults: Its arrays.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is another kind of file or version, damaged, or holds
            pickled data.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'no clip results at {path!r}')
    if not zipfile.is_zipfile(path):
        raise ValueError(f'{path!r} is no .npz file, or was cut short')
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except ValueError as error:
        raise ValueError(f'{path!r} holds pickled data: not read') from error
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise ValueError(f'{path!r} is damaged: {error}') from error
    if str(arrays.pop('format', '')) != _FORMAT:
        raise ValueError(
            f'{path!r} was not written by ClipConsistencyMetric: it holds '
            f'{", ".join(arrays) or "nothing"}'
        )
    version = int(arrays.pop('format_version'))
    if version not in _READ_VERSIONS:
        raise ValueError(
            f'{path!r} has format version {version}, but this vll_mmaction '
            f'reads versions {" and ".join(map(str, _READ_VERSIONS))}'
        )
    return ClipResults(**arrays)


def save_clip_results(path: str, results: ClipResults) -> None:
    """Write under a temporary name, so that no reader meets half a file.

    Args:
        path (str): The ``.npz`` file.
        results (ClipResults): What to write.
    """
    os.makedirs(osp.dirname(osp.abspath(path)), exist_ok=True)
    temporary = f'{path}.{os.getpid()}.tmp'
    try:
        with open(temporary, 'wb') as file:
            np.savez_compressed(
                file,
                format=_FORMAT,
                format_version=_FORMAT_VERSION,
                **vars(results),
            )
        os.replace(temporary, path)
    finally:
        if osp.exists(temporary):
            os.remove(temporary)
