"""Models: C3D-lite, the video-level losses, heads and recognizers."""

from . import backbones, data_preprocessors, heads, losses, recognizers
from .backbones import *  # noqa: F401,F403
from .data_preprocessors import *  # noqa: F401,F403
from .heads import *  # noqa: F401,F403
from .losses import *  # noqa: F401,F403
from .recognizers import *  # noqa: F401,F403

__all__ = [
    *backbones.__all__,
    *data_preprocessors.__all__,
    *heads.__all__,
    *losses.__all__,
    *recognizers.__all__,
]
