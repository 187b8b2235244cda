"""What the hooks that watch training share."""

from typing import Optional

from mmengine.model import is_model_wrapper
from torch import Tensor, nn


def video_level_head(model: nn.Module) -> Optional[nn.Module]:
    """Head that keeps the scores of its last training batch.

    Args:
        model (nn.Module): A recognizer, in DistributedDataParallel or not.

    Returns:
        nn.Module | None: Its video-level head, None where it has another.
    """
    model = model.module if is_model_wrapper(model) else model
    head = getattr(model, 'cls_head', None)
    return head if hasattr(head, 'training_scores') else None


def training_scores(model: nn.Module) -> Optional[Tensor]:
    """Logits of the last training batch, (M, K), without gradient.

    Args:
        model (nn.Module): See :func:`video_level_head`.

    Returns:
        Tensor | None: None before the first batch and for other heads.
    """
    return getattr(video_level_head(model), 'training_scores', None)
