"""Max-pools whose gradient is allowed where kernels must be deterministic."""

from typing import Any

import torch
from torch import Tensor, nn

# Stride, as the kernel; no padding, no dilation, sizes round up.
_PADDING, _DILATION, _CEIL_MODE = 0, 1, True


class DisjointMaxPool3d(nn.MaxPool3d):
    """A pool whose windows don't overlap, rounding up.

    On CUDA PyTorch refuses the gradient of every ``MaxPool3d`` under
    ``torch.use_deterministic_algorithms``, which ``--deterministic`` sets:
    several windows may add to the same place, in any order. Here none do.

    Args:
        kernel_size (int | tuple[int]): Frames, height and width of a window.
    """

    def __init__(self, kernel_size: Any) -> None:
        super().__init__(kernel_size, ceil_mode=_CEIL_MODE)

    def forward(self, x: Tensor) -> Tensor:
        """The largest value of each window, (N, C, T, H, W) as ``x``."""
        if not torch.are_deterministic_algorithms_enabled():
            return super().forward(x)
        kernel = self.kernel_size
        if isinstance(kernel, int):
            kernel = (kernel, kernel, kernel)
        return _DisjointMaxPool.apply(x, kernel)


class _DisjointMaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernel: tuple[int, ...]) -> Tensor:
        pooled, places = torch.ops.aten.max_pool3d_with_indices(
            x, kernel, kernel, _PADDING, _DILATION, _CEIL_MODE
        )
        ctx.save_for_backward(x, places)
        ctx.kernel = kernel
        return pooled

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        x, places = ctx.saved_tensors
        warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
        torch.use_deterministic_algorithms(False)
        try:
            found = torch.ops.aten.max_pool3d_with_indices_backward(
                gradient,
                x,
                ctx.kernel,
                ctx.kernel,
                _PADDING,
                _DILATION,
                _CEIL_MODE,
                places,
            )
        finally:
            torch.use_deterministic_algorithms(True, warn_only=warn_only)
        return found, None
