"""How the clips of one video vote over time: a picture, or its frames.

The classes are those with most votes, each with a colour of its own; the other
classes are grey.
"""

from pathlib import PurePath
from typing import Optional

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator
from PIL import Image, ImageDraw, ImageFont

from ..evaluation import ClipResults, attention_scores, vote_scores
from .vote_plots import (
    TOP,
    class_names,
    class_votes,
    printable,
    shorten,
)

# Okabe and Ito's, which the colour-blind can tell apart.
COLOURS = ('#0072b2', '#e69f00', '#009e73', '#cc79a7', '#d55e00')
OTHER_COLOUR = '#9a9a9a'
WEIGHT_COLOUR = '#404040'
DEPTH = 0.25
"""Length of the largest weight's bar, where that of a probability is 1."""
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
"""Seconds between two ticks; beyond them, whole hours."""


class VideoVote:
    """What is shown of a video, made from the scores of its clips.

    Args:
        results (ClipResults): Per-clip results of one video.
        fps (float): Frames a second, for the times.

    Attributes:
        name (str): File name without folders.
        top (ndarray): The classes with the highest vote scores, (5,) or (K,)
            int64.
        colours (tuple[str]): Their colours, and that of the other classes.
        names (list[str]): Their names, shortened.
        votes (ndarray): Their votes, (5,) int64.
        mean (ndarray): Their mean probabilities, (5,) float64.
        num_views (int): Votes of all classes.
        clip_scores (ndarray): Mean over the crops of a clip, (m, K) float32.
        choice (ndarray): Place in ``top`` of the class of each clip, (m,)
            int64; that of a grey class is ``len(top)``.
        weights (ndarray, optional): Weight of each clip by attention, (m,)
            float64, which sum to one; None where the head has none.
        attended (str): Class and probability by attention; '' without.
        starts (ndarray): First frame of each clip, (m,) int64.
        ends (ndarray): Frame after the last of each clip, (m,) int64, where
            clips overlap that before which the next clip starts.
    """

    def __init__(self, results: ClipResults, fps: float = 25) -> None:
        self.fps = fps
        self.total_frames = int(results.total_frames[0])
        self.name = printable(PurePath(str(results.filenames[0])).name)
        rank = np.argsort(-vote_scores(results.clip_scores), kind='stable')
        self.top = rank[:TOP]
        self.colours = *COLOURS[: len(self.top)], OTHER_COLOUR
        self._all_names = list(map(shorten, class_names(results)))
        self.names = [self._all_names[k] for k in self.top]
        self.votes = class_votes(results.clip_scores)[self.top]
        self.mean = results.clip_scores.mean(0, dtype=np.float64)[self.top]
        self.num_views = len(results.clip_scores)
        views = int(results.views_per_clip[0])
        shape = -1, views, results.clip_scores.shape[1]
        self.clip_scores = results.clip_scores.reshape(shape).mean(axis=1)
        places = np.full(len(rank), len(self.top))
        places[self.top] = np.arange(len(self.top))
        self.choice = places[self.clip_scores.argmax(axis=1)]
        self.weights, self.attended = None, ''
        if results.clip_weights.size:
            (self.weights,) = results.split_weights()
            score = attention_scores(results.clip_scores, results.clip_weights)
            best = score.argmax()
            self.attended = f'{self._all_names[best]} {score[best]:.2f}'
        frames = results.frame_inds.reshape(len(self.clip_scores), -1)
        self.starts = frames.min(axis=1)
        self.ends = frames.max(axis=1) + 1
        self.ends[:-1] = np.minimum(self.ends[:-1], self.starts[1:])

    def clip_of(self, frame: int) -> Optional[int]:
        """The clip that a frame is in, None if in none."""
        clip = int(np.searchsorted(self.starts, frame, side='right')) - 1
        return clip if clip >= 0 and frame < self.ends[clip] else None

    def describe(self, clip: Optional[int]) -> str:
        """A clip in words: number, time, class, probability and weight."""
        if clip is None:
            # Between clips, or in the tail, which is too short for one.
            return 'no clip'
        scores = self.clip_scores[clip]
        time = time_text(self.starts[clip] / self.fps)
        text = (
            f'clip {clip + 1} of {len(self.choice)}, {time}: '
            f'{self._all_names[scores.argmax()]} {scores.max():.2f}'
        )
        if self.weights is not None:
            text += f', weight {self.weights[clip]:.2f}'
        return text

    def __str__(self) -> str:
        """The winner and its votes, as ``walk: 7 of 9 clips``."""
        what = 'views' if self.num_views > len(self.choice) else 'clips'
        what = what if self.num_views > 1 else 'clip'
        text = f'{self.names[0]}: {self.votes[0]} of {self.num_views} {what}'
        if self.attended:
            text += f'; by attention {self.attended}'
        return text


def time_text(seconds: float) -> str:
    """Seconds as ``12.3 s``, ``2:03`` or ``1:02:03``."""
    if seconds < 60:
        return f'{seconds:.1f} s'
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    start = f'{hours}:{minutes:02}' if hours else f'{minutes}'
    return f'{start}:{seconds:02}'


@mpl.rc_context({'text.parse_math': False})  # a `$` in a name is a `$`
def draw_timeline(vote: VideoVote, thumbnails: np.ndarray) -> Figure:
    """A video's thumbnails, the votes of its clips, and its best classes.

    Args:
        vote (VideoVote): The video.
        thumbnails (ndarray): (n, H, W, 3) uint8, RGB: the frames at the
            centres of n equal parts of the video.

    Returns:
        Figure: A clip is a bar of its class's colour, as high as that class
        is probable; its weight by attention is a dark bar below it, as long
        as it is large beside the video's largest. Below, the classes with
        votes and mean probabilities.
    """
    figure = Figure(figsize=(8, 3.6), layout='constrained')
    height, width = thumbnails.shape[1:3]
    strip = min(1.6, 7.4 * height / (width * len(thumbnails)))
    film, time = figure.subplots(2, sharex=True, height_ratios=(strip, 1.1))
    seconds = vote.total_frames / vote.fps
    film.imshow(
        np.hstack(list(thumbnails)), extent=(0, seconds, 0, 1), aspect='auto'
    )
    film.set_axis_off()
    film.set_title(vote.name, loc='left', fontsize=10)
    film.set_title(str(vote), loc='right', fontsize=11, fontweight='bold')
    _draw_clips(time, vote)
    figure.legend(loc='outside lower left', ncols=2, frameon=False)
    hours = 3600 * (seconds // 36_000 + 1)
    step = next((x for x in TICKS if seconds / x <= 10), hours)
    time.xaxis.set_major_locator(MultipleLocator(step))
    time.xaxis.set_major_formatter(FuncFormatter(lambda x, _: time_text(x)))
    time.set_yticks([0, 0.5, 1])
    time.set_ylabel('probability', fontsize=8)
    time.tick_params(labelsize=8, length=2)
    time.spines[['top', 'right']].set_visible(False)
    return figure


def _draw_clips(axis: Axes, vote: VideoVote) -> None:
    """A bar a clip, as one step curve a colour: there may be thousands."""
    edges = np.stack([vote.starts, vote.ends], axis=1).ravel() / vote.fps
    probability = vote.clip_scores.max(axis=1)

    def draw(heights: np.ndarray, colour: str, label: Optional[str]) -> None:
        values = np.zeros(len(edges) - 1)
        values[::2] = heights
        axis.stairs(
            values, edges, fill=True, color=colour, linewidth=0, label=label
        )

    names = [
        f'{name}: {votes} ({votes / vote.num_views:.0%}), {mean:.2f}'
        for name, votes, mean in zip(vote.names, vote.votes, vote.mean)
    ]
    for place, (colour, name) in enumerate(zip(vote.colours, [*names, None])):
        draw(np.where(vote.choice == place, probability, 0), colour, name)
    if vote.weights is not None:
        heights = -DEPTH * vote.weights / vote.weights.max()
        draw(heights, WEIGHT_COLOUR, 'weight by attention')
    if len(vote.starts) <= 100:
        axis.vlines(
            vote.starts[1:] / vote.fps, 0, 1, color='white', linewidth=0.8
        )
    axis.set_xlim(0, vote.total_frames / vote.fps)
    axis.set_ylim(0 if vote.weights is None else -DEPTH, 1)


class VoteFrames:
    """Puts the votes below the frames of a video.

    Below a frame stand the clip that it is in and its class, the votes of the
    whole video, and these over time with a mark at the frame.

    Args:
        vote (VideoVote): The video.
        frame_shape (tuple[int, int]): Height and width of its frames.

    Attributes:
        size (tuple[int, int]): Width and height of what comes out.
    """

    def __init__(self, vote: VideoVote, frame_shape: tuple[int, int]) -> None:
        height, width = frame_shape
        # Large enough for the text, small enough for a screen.
        scale = min(max(1, 480 / height), 1280 / width, 720 / height)
        self._frame_size = _even(width * scale), _even(height * scale)
        self._vote = vote
        self._panel = _draw_panel(vote, max(640, self._frame_size[0]))
        height = self._frame_size[1] + self._panel.height
        self.size = self._panel.width, height
        font = f'{mpl.get_data_path()}/fonts/ttf/DejaVuSans-Bold.ttf'
        self._font = ImageFont.truetype(font, self._panel.width // 40)

    def draw(self, number: int, frame: np.ndarray) -> np.ndarray:
        """A frame with the votes below it.

        Args:
            number (int): Its number, counted from 0.
            frame (ndarray): (H, W, 3) uint8, BGR.

        Returns:
            ndarray: As high and wide as ``size`` says, uint8, BGR.
        """
        vote, panel = self._vote, self._panel
        image = Image.new('RGB', self.size)
        small = Image.fromarray(frame[:, :, ::-1]).resize(self._frame_size)
        image.paste(small, ((panel.width - small.width) // 2, 0))
        image.paste(panel, (0, small.height))
        draw = ImageDraw.Draw(image)
        clip = vote.clip_of(number)
        colour = vote.colours[-1 if clip is None else vote.choice[clip]]
        at = self._font.size // 2, small.height + self._font.size // 2
        draw.text(at, vote.describe(clip), colour, self._font)
        mark = number * panel.width // vote.total_frames
        top = small.height + panel.height * 2 // 3
        draw.rectangle((mark, top, mark + 2, image.height), 'black')
        return np.asarray(image)[:, :, ::-1]


@mpl.rc_context({'text.parse_math': False})
def _draw_panel(vote: VideoVote, width: int) -> Image.Image:
    """What is the same below all frames: classes, votes over time."""
    figure = Figure(figsize=(6.4, 1.8), dpi=width / 6.4)
    axis = figure.add_axes((0, 0, 1, 1 / 3))
    _draw_clips(axis, vote)
    axis.set_axis_off()
    figure.legend(
        loc='lower left',
        bbox_to_anchor=(0, 1 / 3),
        ncols=2,
        fontsize=8,
        frameon=False,
    )
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert('RGB')
    return image.crop((0, 0, width, _even(image.height)))


def _even(length: float) -> int:
    """An even number of pixels, as video codecs want it."""
    return max(2, round(length / 2) * 2)
