"""What a batch sampler tells the dataset, and draws that follow from it.

MMEngine saves no random state and its workers repeat the same draws in every
epoch. Here every draw of the data side is a function of (seed, epoch, clip):
the batch of indices carries seed and epoch to the worker, and the global
generators that stock transforms use are seeded from them for each clip.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Optional

import numpy as np
import torch


class ClipBatch(list):
    """Clip indices of one batch, with what makes its draws reproducible.

    A list, so that everything that takes a batch of indices takes this.

    Args:
        indices (Iterable[int]): Clip indices.
        key (tuple[int], optional): Start of every draw's seed, (seed, epoch).
            None leaves the draws to the worker's random state.
        video_offset (int): Added to the video ids of the samples, so that
            they stay distinct in a concatenation of datasets.
    """

    def __init__(
        self,
        indices: Iterable[int],
        key: Optional[tuple[int, ...]] = None,
        video_offset: int = 0,
    ) -> None:
        super().__init__(indices)
        self.key = key
        self.video_offset = video_offset

    @classmethod
    def of(cls, indices: Sequence[int]) -> 'ClipBatch':
        """``indices`` itself, or a ClipBatch without a key around it."""
        return indices if isinstance(indices, cls) else cls(indices)


def draw_key(key: Optional[tuple[int, ...]], *part: int) -> tuple[int, ...]:
    """Seed of one draw: the batch's key and what is drawn for.

    Args:
        key (tuple[int], optional): Key of the batch. None takes a number from
            NumPy's global state, which is what stock transforms do.
        part (int): What is drawn for, such as video and clip number.

    Returns:
        tuple[int]: Non-negative integers, as ``np.random.SeedSequence``
        wants them.
    """
    if key is None:
        key = (int(np.random.randint(2**31)),)
    return tuple(int(k) % 2**63 for k in (*key, *part))


@contextmanager
def kept_generators() -> Iterator[None]:
    """Restore the generators of random, NumPy and torch (CPU) at the end."""
    python_state = random.getstate()
    numpy_state = np.random.get_state()
    torch_state = torch.default_generator.get_state()
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)
        torch.default_generator.set_state(torch_state)


def seed_generators(key: tuple[int, ...]) -> None:
    """Seed the generators of random, NumPy and torch (CPU).

    Args:
        key (tuple[int]): Seed, see :func:`draw_key`.
    """
    words = np.random.SeedSequence(key).generate_state(4)
    np.random.seed(words)
    random.seed(words.tobytes())
    # torch.manual_seed would reseed every GPU as well.
    torch.default_generator.manual_seed(int(words[0]))


@contextmanager
def seeded_draws(key: tuple[int, ...]) -> Iterator[None]:
    """Seed the generators of random, NumPy and torch (CPU), then restore them.

    Args:
        key (tuple[int]): Seed, see :func:`draw_key`.
    """
    with kept_generators():
        seed_generators(key)
        yield


class ClipDraws:
    """The draws of one clip, which a reader may begin and others continue.

    To be used under :func:`kept_generators`. (Saving and restoring the state
    for each clip would take a tenth of the time of decoding it.)

    Args:
        key (tuple[int]): Seed, see :func:`draw_key`.
    """

    def __init__(self, key: tuple[int, ...]) -> None:
        self._key = key
        self._started = False
        self._states: Optional[tuple] = None

    def start(self) -> None:
        """Seed the generators for this clip."""
        seed_generators(self._key)
        self._started = True

    def pause(self) -> None:
        """Keep the state, since transforms to come may draw."""
        self._states = (
            random.getstate(),
            np.random.get_state(),
            torch.default_generator.get_state(),
        )

    def go_on(self) -> None:
        """Continue where :meth:`pause` was called, or start.

        Started and not paused means that nothing more is drawn: the
        generators stay as they are.
        """
        if not self._started:
            self.start()
        elif self._states is not None:
            python_state, numpy_state, torch_state = self._states
            random.setstate(python_state)
            np.random.set_state(numpy_state)
            torch.default_generator.set_state(torch_state)
