"""Checkpoints, launchers, DDP and the compiler on today's PyTorch."""

import atexit
import functools
import gc
import importlib
import pickle
from typing import Any, Callable

import numpy as np
import torch
from mmengine.dist import is_distributed
from mmengine.logging import HistoryBuffer
from mmengine.model import MMDistributedDataParallel
from mmengine.runner import Runner, checkpoint
from mmengine.structures import BaseDataElement
from packaging.version import Version
from torch import distributed, nn

from .replacing import replaced, wrap_once

# Checkpoints


def reads_weights_only() -> bool:
    """Whether checkpoints are read without running what they say.

    PyTorch before 2.6 cannot read MMEngine's in this way.
    """
    return Version(torch.__version__) >= Version('2.6')


def allow_checkpoint_types() -> bool:
    """Let ``torch.load`` read what MMEngine writes into a checkpoint.

    From PyTorch 2.6 on, ``weights_only=True`` is the default, and it refuses
    the log history (``HistoryBuffer``, numpy arrays) in a checkpoint's
    message hub. Only these types are allowed; weights_only stays on. Nothing
    is done before 2.6, where the default is off.
    """
    if not reads_weights_only():
        return False
    if HistoryBuffer in torch.serialization.get_safe_globals():
        return False
    # numpy 1.26 knows numpy 2's name of it.
    from numpy._core import multiarray

    # Histories are float64 and int64. A best score can be float32, where a
    # metric was computed on a network's output.
    dtypes = [type(np.dtype(name)) for name in ('f4', 'f8', 'i8')]
    # numpy 1 writes the first spelling, numpy 2 the second.
    functions = [
        (function, f'{module}.{function.__name__}')
        for function in (multiarray._reconstruct, multiarray.scalar)
        for module in ('numpy.core.multiarray', 'numpy._core.multiarray')
    ]
    torch.serialization.add_safe_globals(
        [HistoryBuffer, np.ndarray, np.dtype, *dtypes, *functions]
        + [(_history_buffer_method, 'builtins.getattr')]
    )
    return True


def _history_buffer_method(owner: Any, name: str) -> Callable:
    """What ``builtins.getattr`` in a checkpoint is read as.

    A pickle names a class's methods by getattr. The real one would let a
    crafted file reach any attribute of what it may name, and so ``exec``.
    """
    if owner is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(owner, name)
    raise pickle.UnpicklingError(
        f'a checkpoint asks for the attribute {name!r} of {owner!r}; only '
        'the statistics of HistoryBuffer are allowed'
    )


def refuse_unsafe_checkpoints() -> bool:
    """Keep onedl-mmengine from running what a checkpoint says.

    Where ``weights_only`` refuses a file, it reads the file without. It does
    as told when ``weights_only`` is given.
    """
    load = getattr(checkpoint, '_safe_torch_load', None)
    if load is None or not reads_weights_only():
        return False
    if isinstance(load, functools.partial):
        return False
    checkpoint._safe_torch_load = functools.partial(load, weights_only=True)
    return True


# Launchers, DDP and the compiler


def allow_launcher_without_cuda() -> bool:
    """Let ``--launcher`` start processes on a machine without CUDA.

    MMEngine calls ``torch.cuda.set_device`` whatever the backend is. The
    call is skipped while MMEngine sets up the processes, and only where no
    CUDA device is there.
    """

    def skip_set_device(init: Callable, *args: Any, **kwargs: Any) -> Any:
        if torch.cuda.is_available():
            return init(*args, **kwargs)
        with replaced(torch.cuda, 'set_device', lambda device: None):
            return init(*args, **kwargs)

    utils = importlib.import_module('mmengine.dist.utils')
    return any(
        [
            wrap_once(utils, f'_init_dist_{launcher}', skip_set_device)
            for launcher in ('pytorch', 'slurm', 'mpi')
        ]
    )


def end_gloo_before_python() -> bool:
    """End Gloo's process group before Python ends.

    MMEngine leaves it to the very end. A thread of Gloo's that lets go of its
    last tensors there finds no Python any more and aborts the process: on a
    busy machine one training in ten that was done counted as failed.
    """

    def end_at_exit(setup_env: Callable, *args: Any, **kwargs: Any) -> None:
        setup_env(*args, **kwargs)
        atexit.register(_end_gloo)

    return wrap_once(Runner, 'setup_env', end_at_exit)


def _end_gloo() -> None:
    """End the process group if it is Gloo's: NCCL's waits for failed ranks."""
    if is_distributed() and distributed.get_backend() == 'gloo':
        gc.collect()  # runner and DDP, which hold the group
        distributed.destroy_process_group()


def allow_ddp_on_cpu() -> bool:
    """Drop ``device_ids`` where DDP wraps a model on the CPU.

    ``Runner.wrap_model`` always hands them over, and DDP refuses them for
    such a model. A model with a parameter elsewhere is left alone.
    """

    def drop_device_ids(
        init: Callable, self: Any, module: nn.Module, *args: Any, **kwargs: Any
    ) -> None:
        if all(p.device.type == 'cpu' for p in module.parameters()):
            kwargs.pop('device_ids', None)
            kwargs.pop('output_device', None)
        init(self, module, *args, **kwargs)

    return wrap_once(MMDistributedDataParallel, '__init__', drop_device_ids)


def allow_compile() -> bool:
    """Let ``compile`` in a config work with arrays in the meta info.

    MMEngine compiles the whole training step. There it copies the meta info
    of each data sample, and PyTorch's compiler fails at the copy of a numpy
    array, such as our ``frame_inds``. The compiler is told to leave the
    copying alone, once a config asks for it.
    """

    def spare_metainfo(
        maybe_compile: Callable, self: Runner, target: Any
    ) -> Any:
        if self.cfg.get('compile'):
            wrap_once(
                BaseDataElement,
                'set_metainfo',
                lambda copy, *args, **kwargs: copy(*args, **kwargs),
                torch.compiler.disable,
            )
        return maybe_compile(self, target)

    return wrap_once(Runner, '_maybe_compile', spare_metainfo)


def allow_no_workers() -> bool:
    """Let ``num_workers=0`` stand beside ``persistent_workers=True``.

    MMEngine hands both to PyTorch, which refuses them: whoever looks into a
    config with a debugger would have to change both in each dataloader.
    """

    def without_workers(
        build: Callable, dataloader: Any, *args: Any, **kwargs: Any
    ) -> Any:
        is_config = isinstance(dataloader, dict)
        if is_config and not dataloader.get('num_workers'):
            dataloader = dict(dataloader, persistent_workers=False)
        return build(dataloader, *args, **kwargs)

    return wrap_once(Runner, 'build_dataloader', without_workers, staticmethod)


def provide_is_compiling() -> bool:
    """Put ``torch.compiler.is_compiling`` where PyTorch has it from 2.3 on.

    Before, the compiler knows the same function by another name.
    """
    if hasattr(torch.compiler, 'is_compiling'):
        return False
    torch.compiler.is_compiling = torch._utils.is_compiling
    return True
