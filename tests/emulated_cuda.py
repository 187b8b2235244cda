"""Tensors that say they are on a GPU, for tests of the CUDA path without one.

A :class:`CudaTensor` keeps its values in an ordinary tensor, so forward and
backward pass really compute, but ``device`` is ``cuda:0``, and PyTorch takes
it for a tensor of another device than the CPU. (PyTorch's own fake tensors of
the device CUDA have no backward pass in a build without CUDA: it aborts the
process.) Within :class:`EmulatedCuda` each operation on such tensors is looked
at:

- one with tensors of both devices is refused, scalars (0 axes) apart;
- one that makes the host wait for the GPU is refused (:class:`HostWait`):
  reading a value, a result whose shape depends on values, a copy to the CPU,
  a copy to the GPU that is blocking or from memory that is not pinned;
- random numbers come from a generator of the device;
- ``autocast('cuda')`` casts what linear layers and convolutions take.

It is no GPU: operations that wait are those listed here, values are those of
the CPU's kernels, and types that only a kernel of the GPU refuses pass.
"""

import contextlib

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakIdKeyDictionary

aten = torch.ops.aten
CUDA = torch.device('cuda', 0)

# Operations whose CUDA kernels copy something to the host.
_READ_BY_HOST = {
    aten._local_scalar_dense,
    aten._unique2,
    aten.bincount,
    aten.equal,
    aten.is_nonzero,
    aten.masked_select,
    aten.nonzero,
    aten.unique_consecutive,
    aten.unique_dim,
}
# A mask among the indices is turned into numbers by `nonzero`.
_INDEXED = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_}
# Functions that take half precision under autocast.
_IN_HALF = 'linear', 'conv1d', 'conv2d', 'conv3d'


class HostWait(RuntimeError):
    """The host would wait for the GPU."""


class CudaTensor(torch.Tensor):
    """A tensor whose values are in ``values``, on the CPU."""

    @staticmethod
    def __new__(cls, values):
        # To PyTorch's own code it is a meta tensor: CUDA would need a build
        # for it, and "not the CPU" is what matters.
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device='meta',
        )
        made.values = values
        return made

    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_meta = property(lambda self: False)
    __torch_function__ = torch._C._disabled_torch_function_impl

    def get_device(self):
        return 0

    def __repr__(self, **_):
        return f'CudaTensor({self.values})'

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError(f'{func} outside of EmulatedCuda')


class EmulatedCuda(TorchDispatchMode):
    """The device, in a ``with`` statement.

    Args:
        monkeypatch (pytest.MonkeyPatch): Makes ``torch.cuda`` agree.
    """

    def __init__(self, monkeypatch):
        super().__init__()
        self.rng_state = torch.Generator().manual_seed(7).get_state()
        self._pinned = WeakIdKeyDictionary()
        self._allowed = False
        self._functions = _Functions()
        for name, value in (
            ('_initialized', True),
            ('_lazy_init', lambda: None),
            ('device', lambda index: contextlib.nullcontext()),
            ('is_bf16_supported', lambda: True),
            ('get_rng_state', lambda device=CUDA: self.rng_state.clone()),
            ('set_rng_state', self._set_rng_state),
        ):
            monkeypatch.setattr(torch.cuda, name, value)
        monkeypatch.setattr(
            torch.cuda.amp.common, 'amp_definitely_not_available', bool
        )
        for name in _IN_HALF:
            monkeypatch.setattr(F, name, _autocast(getattr(F, name)))

    def _set_rng_state(self, state, device=CUDA):
        self.rng_state = state.clone()

    def __enter__(self):
        self._functions.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        return self._functions.__exit__(*error)

    @contextlib.contextmanager
    def waits_allowed(self):
        """For what MMEngine does before and after forward and backward."""
        before, self._allowed = self._allowed, True
        try:
            yield
        finally:
            self._allowed = before

    def upload(self, tensor):
        """A leaf on the device with the values of a tensor of the CPU."""
        return CudaTensor(tensor.detach().clone()).requires_grad_(
            tensor.requires_grad
        )

    def _wait(self, func, why):
        if not self._allowed:
            raise HostWait(f'{func}: {why}')

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        tensors = [x for x in tree_leaves((args, kwargs)) if _is_tensor(x)]
        on_cuda = [x for x in tensors if isinstance(x, CudaTensor)]
        on_cpu = [x for x in tensors if not isinstance(x, CudaTensor)]
        device = kwargs.get('device')
        target = None if device is None else torch.device(device).type
        packet = func.overloadpacket

        if packet is aten.is_pinned:
            return bool(on_cpu) and on_cpu[0] in self._pinned
        if packet is aten._pin_memory:
            pinned = on_cpu[0].clone()
            self._pinned[pinned] = True
            return pinned
        if not on_cuda and target not in ('cuda', 'meta'):
            return func(*args, **kwargs)
        if packet in (aten._to_copy, aten.copy_, aten.copy):
            self._check_copy(func, args, kwargs, target)
        elif [x for x in on_cpu if on_cuda and x.dim()]:
            raise RuntimeError(f'{func}: tensors on the CPU and on CUDA')
        elif packet in _READ_BY_HOST:
            self._wait(func, 'the host reads what is on the device')
        elif packet in _INDEXED and any(
            x.dtype in (torch.bool, torch.uint8)
            for x in tree_leaves(args[1])
            if x is not None
        ):
            self._wait(func, 'a mask as index')
        elif func is aten.repeat_interleave.Tensor:
            if kwargs.get('output_size') is None:
                self._wait(func, 'the size of the result is on the device')

        to_cpu = packet is aten._to_copy and target == 'cpu'
        if device is not None:
            kwargs['device'] = torch.device('cpu')
        # What an operation in place gives back is its argument.
        known = {id(x.values): x for x in on_cuda}
        known.update({id(x): x for x in on_cpu})
        args, kwargs = tree_map(
            lambda x: x.values if isinstance(x, CudaTensor) else x,
            (args, kwargs),
        )
        with self._generator(func):
            out = func(*args, **kwargs)
        if to_cpu:
            return out

        def wrap(x):
            if not _is_tensor(x):
                return x
            return known[id(x)] if id(x) in known else CudaTensor(x)

        return tree_map(wrap, out)

    def _check_copy(self, func, args, kwargs, target):
        if func.overloadpacket is aten._to_copy:
            source, others = args[0], ()
            to_cuda = isinstance(source, CudaTensor)
            if target is not None:
                to_cuda = target != 'cpu'
        else:
            # copy_(target, source, non_blocking)
            made, source, *others = args
            to_cuda = isinstance(made, CudaTensor)
        from_cuda = isinstance(source, CudaTensor)
        blocking = not (*others, kwargs.get('non_blocking', False))[0]
        if from_cuda and not to_cuda:
            self._wait(func, 'a copy to the CPU')
        if to_cuda and not from_cuda:
            if blocking or source not in self._pinned:
                self._wait(func, 'a blocking copy, or memory not pinned')

    @contextlib.contextmanager
    def _generator(self, func):
        if torch.Tag.nondeterministic_seeded not in func.tags:
            yield
            return
        of_cpu = torch.get_rng_state()
        torch.set_rng_state(self.rng_state)
        yield
        self.rng_state = torch.get_rng_state()
        torch.set_rng_state(of_cpu)


class _Functions(TorchFunctionMode):
    """Translates the names of the device."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        # Where PyTorch's own code would look for a CUDA build.
        args, kwargs = tree_map(_as_meta, (args, kwargs or {}))
        if func is torch.tensor and kwargs.get('device'):
            # Made on the CPU and copied, by code that no mode sees.
            del kwargs['device']
            return torch.tensor(*args, **kwargs).to('meta')
        return func(*args, **kwargs)


def _is_tensor(x):
    return isinstance(x, torch.Tensor)


def _as_meta(x):
    text = isinstance(x, str) and x.startswith('cuda')
    if text or (isinstance(x, torch.device) and x.type == 'cuda'):
        return torch.device('meta')
    return x


def _autocast(function):
    def cast(x):
        if isinstance(x, CudaTensor) and x.is_floating_point():
            return x.to(torch.get_autocast_dtype('cuda'))
        return x

    def run(*args, **kwargs):
        if torch.is_autocast_enabled('cuda'):
            args, kwargs = tree_map(cast, (args, kwargs))
        return function(*args, **kwargs)

    return run
