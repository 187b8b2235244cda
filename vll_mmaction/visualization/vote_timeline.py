"""How the clips of one video vote over time: a picture, or its frames.

The classes are those with most votes, each with a colour of its own; the other
classes are grey.
"""

from pathlib import PurePath
from typing import Optional

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from ..evaluation import ClipResults, vote_scores
from .vote_plots import (
    TOP,
    bars_with_texts,
    class_names,
    class_votes,
    shorten,
)

# Okabe and Ito's, which the colour-blind can tell apart.
COLOURS = ('#0072b2', '#e69f00', '#009e73', '#cc79a7', '#d55e00')
OTHER_COLOUR = '#9a9a9a'


class VideoVote:
    """What is shown of a video, made from the scores of its clips.

    Args:
        results (ClipResults): Per-clip results of one video.
        fps (float): Frames a second, for the times.

    Attributes:
        name (str): File name without folders.
        top (ndarray): The classes with the highest vote scores, (5,) or (K,)
            int64.
        names (list[str]): Their names, shortened.
        votes (ndarray): Their votes, (5,) int64.
        mean (ndarray): Their mean probabilities, (5,) float64.
        num_views (int): Votes of all classes.
        clip_scores (ndarray): Mean over the crops of a clip, (m, K) float32.
        choice (ndarray): Place in ``top`` of the class of each clip, (m,)
            int64; that of a grey class is ``len(top)``.
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
        names = map(printable, class_names(results))
        self._all_names = list(map(shorten, names))
        self.names = [self._all_names[k] for k in self.top]
        self.votes = class_votes(results, 0)[self.top]
        self.mean = results.clip_scores.mean(0, dtype=np.float64)[self.top]
        self.num_views = len(results.clip_scores)
        views = int(results.views_per_clip[0])
        shape = -1, views, results.clip_scores.shape[1]
        self.clip_scores = results.clip_scores.reshape(shape).mean(axis=1)
        places = np.full(len(rank), len(self.top))
        places[self.top] = np.arange(len(self.top))
        self.choice = places[self.clip_scores.argmax(axis=1)]
        frames = results.frame_inds.reshape(len(self.clip_scores), -1)
        self.starts = frames.min(axis=1)
        self.ends = frames.max(axis=1) + 1
        self.ends[:-1] = np.minimum(self.ends[:-1], self.starts[1:])

    def clip_of(self, frame: int) -> Optional[int]:
        """The clip that a frame is in, None if in none."""
        clip = int(np.searchsorted(self.starts, frame, side='right')) - 1
        return clip if clip >= 0 and frame < self.ends[clip] else None

    def clip_name(self, clip: int) -> str:
        """Name of the class that a clip votes for."""
        return self._all_names[self.clip_scores[clip].argmax()]

    def __str__(self) -> str:
        """The winner and its votes, as ``walk: 7 of 9 clips``."""
        what = 'views' if self.num_views > len(self.choice) else 'clips'
        what = what if self.num_views > 1 else 'clip'
        return f'{self.names[0]}: {self.votes[0]} of {self.num_views} {what}'


def printable(text: str) -> str:
    """Text in which every character can be shown on a line."""
    return ''.join(x if x.isprintable() else '�' for x in text)


def time_text(seconds: float) -> str:
    """Seconds as ``12.3 s``, ``2:03`` or ``1:02:03``."""
    if seconds < 60:
        return f'{seconds:.1f} s'
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    start = f'{hours}:{minutes:02}' if hours else f'{minutes}'
    return f'{start}:{seconds:02}'


def draw_timeline(vote: VideoVote, thumbnails: np.ndarray) -> Figure:
    """A video's thumbnails, the votes of its clips, and its best classes.

    Args:
        vote (VideoVote): The video.
        thumbnails (ndarray): (n, H, W, 3) uint8, RGB: the frames at the
            centres of n equal parts of the video.

    Returns:
        Figure: A clip is a bar of its class's colour, as high as that class
        is probable.
    """
    figure = Figure(figsize=(8, 4.6))
    figure.set_layout_engine('constrained', h_pad=0.06, hspace=0.02)
    height, width = thumbnails.shape[1:3]
    strip = min(1.6, 7.4 * height / (width * len(thumbnails)))
    grid = figure.add_gridspec(3, 2, height_ratios=(strip, 1.1, 1.5))
    film = figure.add_subplot(grid[0, :])
    time = figure.add_subplot(grid[1, :], sharex=film)
    seconds = vote.total_frames / vote.fps
    film.imshow(
        np.hstack(list(thumbnails)), extent=(0, seconds, 0, 1), aspect='auto'
    )
    film.set_axis_off()
    film.set_title(vote.name, loc='left', fontsize=10)
    film.set_title(str(vote), loc='right', fontsize=11, fontweight='bold')
    _draw_clips(time, vote, seconds)
    votes = figure.add_subplot(grid[2, 0])
    texts = [f'{x} ({x / vote.num_views:.0%})' for x in vote.votes]
    _draw_bars(votes, vote.votes / vote.num_views, texts)
    votes.set_yticks(range(len(vote.top)), vote.names)
    votes.set_title('votes of the clips', loc='left', fontsize=9)
    mean = figure.add_subplot(grid[2, 1])
    _draw_bars(mean, vote.mean, [f'{x:.2f}' for x in vote.mean])
    mean.set_yticks([])
    mean.set_title('mean probability', loc='left', fontsize=9)
    for text in figure.findobj(mpl.text.Text):
        text.set_parse_math(False)  # a `$` in a name is a `$`
    return figure


def _draw_clips(axis: Axes, vote: VideoVote, seconds: float) -> None:
    """A bar a clip, as one step curve a colour: there may be thousands."""
    edges = np.stack([vote.starts, vote.ends], axis=1).ravel() / vote.fps
    probability = vote.clip_scores.max(axis=1)
    for place, colour in enumerate((*COLOURS[: len(vote.top)], OTHER_COLOUR)):
        values = np.zeros(len(edges) - 1)
        values[::2] = np.where(vote.choice == place, probability, 0)
        axis.stairs(values, edges, fill=True, color=colour, linewidth=0)
    if len(vote.starts) <= 100:
        axis.vlines(
            vote.starts[1:] / vote.fps, 0, 1, color='white', linewidth=0.8
        )
    axis.set_xlim(0, seconds)
    axis.set_ylim(0, 1)
    axis.set_yticks([0, 0.5, 1])
    axis.set_ylabel('probability', fontsize=8)
    axis.tick_params(labelsize=8, length=2)
    axis.xaxis.set_major_formatter(lambda x, _: time_text(x))
    axis.spines[['top', 'right']].set_visible(False)


def _draw_bars(axis: Axes, values: np.ndarray, texts: list) -> None:
    bars_with_texts(axis, values, texts, COLOURS[: len(values)])
    axis.set_ylim(TOP - 0.5, -0.5)  # bars of one height, however few
    axis.set_xlim(0, 1.2)
    axis.set_xticks([])
    axis.tick_params(labelsize=9, length=0)
    axis.spines[['top', 'right', 'bottom']].set_visible(False)


class VoteFrames:
    """Puts the votes below the frames of a video.

    Below a frame stand the clip that it is in, how probable the video's best
    classes are in this clip, the votes for them so far, and the votes of the
    whole video over time, with a mark at the frame.

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
        panel_width = max(640, self._frame_size[0])
        unit = panel_width // 40
        panel_height = _even((4.75 + 1.5 * len(vote.top)) * unit)
        self.size = panel_width, self._frame_size[1] + panel_height
        self._vote = vote
        self._unit = unit
        font = f'{mpl.get_data_path()}/fonts/ttf/DejaVuSans'
        self._font = ImageFont.truetype(f'{font}.ttf', unit)
        self._bold = ImageFont.truetype(f'{font}-Bold.ttf', unit)
        self._background = self._draw_background(panel_height)
        self._clip: Optional[int] = -1
        self._panel = np.empty(0)

    def draw(self, number: int, frame: np.ndarray) -> np.ndarray:
        """A frame with the votes below it.

        Args:
            number (int): Its number, counted from 0.
            frame (ndarray): (H, W, 3) uint8, BGR.

        Returns:
            ndarray: As high and wide as ``size`` says, uint8, BGR.
        """
        clip = self._vote.clip_of(number)
        if clip != self._clip:
            self._clip = clip
            self._panel = self._draw_panel(clip)
        image = np.zeros((self.size[1], self.size[0], 3), dtype=np.uint8)
        width, height = self._frame_size
        left = (self.size[0] - width) // 2
        image[:height, left : left + width] = cv2.resize(
            frame,
            self._frame_size,
            interpolation=cv2.INTER_AREA
            if frame.shape[0] > height
            else cv2.INTER_CUBIC,
        )
        image[height:] = self._panel
        mark = number * self.size[0] // self._vote.total_frames
        bottom = self.size[1] - self._unit // 4
        image[bottom - 2 * self._unit : bottom, mark : mark + 3] = 0
        return image

    def _draw_background(self, height: int) -> Image.Image:
        """What is the same for all clips."""
        unit, vote = self._unit, self._vote
        image = Image.new('RGB', (self.size[0], height), 'white')
        draw = ImageDraw.Draw(image)
        for row, name in enumerate(vote.names):
            draw.text(self._at(0.5, row), name, 'black', self._font)
        # The votes over time: a column of pixels belongs to a clip.
        columns = np.arange(self.size[0])
        clips = [
            vote.clip_of(int(x))
            for x in columns * vote.total_frames // self.size[0]
        ]
        bottom = height - unit // 2
        for column, clip in zip(columns.tolist(), clips):
            if clip is not None:
                top = bottom - 1.5 * unit * vote.clip_scores[clip].max()
                colour = self._colour(vote.choice[clip])
                draw.line((column, top, column, bottom), colour)
        return image

    def _draw_panel(self, clip: Optional[int]) -> np.ndarray:
        """The votes while a clip runs, (H, W, 3) uint8, BGR."""
        unit, vote = self._unit, self._vote
        image = self._background.copy()
        draw = ImageDraw.Draw(image)
        right = self.size[0] - unit / 2
        header = unit / 2
        draw.text(
            (right, header), 'votes so far', 'black', self._font, anchor='ra'
        )
        if clip is None:
            # Between clips, or in the tail, which is too short for one.
            draw.text((unit / 2, header), 'no clip', 'grey', self._bold)
            return np.asarray(image)[:, :, ::-1]
        scores = vote.clip_scores[clip]
        colour = self._colour(vote.choice[clip])
        text = f'{vote.clip_name(clip)} {scores.max():.2f}'
        draw.text((unit / 2, header), text, colour, self._bold)
        start = vote.starts[clip] / vote.fps
        text = f'clip {clip + 1} of {len(vote.choice)}, {time_text(start)}'
        draw.text(self._at(16, -1.2), text, 'black', self._font)
        so_far = np.bincount(vote.choice[: clip + 1], minlength=len(vote.top))
        for row, k in enumerate(vote.top):
            x, y = self._at(16, row)
            length = scores[k] * (self.size[0] - 24 * unit)
            draw.rectangle((x, y, x + length, y + unit), self._colour(row))
            draw.text(
                (x + length + unit / 2, y),
                f'{scores[k]:.2f}',
                'black',
                self._font,
            )
            draw.text(
                (right, y), str(so_far[row]), 'black', self._font, anchor='ra'
            )
        return np.asarray(image)[:, :, ::-1]

    def _at(self, units: float, row: float) -> tuple[float, float]:
        """Where a row of the panel has its text."""
        return units * self._unit, (2.25 + 1.5 * row) * self._unit

    @staticmethod
    def _colour(place: int) -> str:
        return COLOURS[place] if place < len(COLOURS) else OTHER_COLOUR


def _even(length: float) -> int:
    """An even number of pixels, as video codecs want it."""
    return max(2, round(length / 2) * 2)
