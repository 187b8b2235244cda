"""What the frozen OpenMMLab releases need on today's Python and PyTorch.

Each function mends one break, says why, does nothing where there is nothing
to mend, and returns whether there was. What other packages look up is left
as it is: functions of OpenMMLab are replaced, where OpenMMLab calls them.
"""

from . import packages, pytorch
from .pytorch import reads_weights_only

__all__ = ['MENDED', 'apply', 'reads_weights_only']

# What `apply` found to mend, in words.
MENDED: list[str] = []


def apply() -> None:
    """Mend all that is broken. May be called any number of times."""
    for mend in (
        packages.find_packages,
        packages.collect_env_without_distutils,
        packages.find_extensions,
        packages.provide_importlib_metadata,
        packages.provide_drn,
        packages.turn_hue_back,
        pytorch.allow_checkpoint_types,
        pytorch.refuse_unsafe_checkpoints,
        pytorch.allow_launcher_without_cuda,
        pytorch.end_gloo_before_python,
        pytorch.allow_ddp_on_cpu,
        pytorch.allow_compile,
        pytorch.allow_no_workers,
        pytorch.provide_is_compiling,
    ):
        if mend():
            MENDED.append((mend.__doc__ or '').partition('\n')[0])
