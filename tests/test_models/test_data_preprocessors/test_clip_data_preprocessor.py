"""The same numbers as MMAction2's preprocessor, in less memory."""

import pytest
import torch
from mmaction.registry import MODELS
from mmaction.structures import ActionDataSample

NORMALISE = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
BLENDING = dict(type='MixupBlending', num_classes=5)


@pytest.mark.parametrize(
    'shape, options',
    [
        ((1, 3, 4, 8, 8), dict(NORMALISE, format_shape='NCTHW')),
        ((4, 3, 8, 8), dict(NORMALISE, format_shape='NCHW')),
        ((1, 3, 4, 8, 8), dict(NORMALISE, format_shape='MIX2d3d')),
        ((4, 3, 8, 8), dict(NORMALISE, to_rgb=True)),
        ((4, 3, 8, 8), dict()),
        ((4, 3, 8, 8), dict(NORMALISE, blending=BLENDING)),
    ],
)
@pytest.mark.parametrize('dtype', [torch.uint8, torch.float32])
def test_same_as_stock(shape, options, dtype):
    torch.manual_seed(0)
    clips = [torch.randint(0, 256, shape).to(dtype) for _ in range(3)]
    before = [clip.clone() for clip in clips]
    found = []
    for kind in ('ActionDataPreprocessor', 'ClipDataPreprocessor'):
        preprocessor = MODELS.build(dict(type=kind, **options))
        samples = [ActionDataSample().set_gt_label(k) for k in range(3)]
        data = dict(inputs=list(clips), data_samples=samples)
        torch.manual_seed(1)
        found.append(preprocessor(data, training=True))
    stock, ours = found
    assert ours['inputs'].dtype == torch.float32
    assert torch.equal(ours['inputs'], stock['inputs'])
    for a, b in zip(ours['data_samples'], stock['data_samples']):
        assert torch.equal(a.gt_label, b.gt_label)
    # The clips themselves, which may be views of one array, stay.
    assert all(torch.equal(a, b) for a, b in zip(clips, before))


def test_no_second_copy(monkeypatch):
    """All that follows the floats works on them."""
    made = []
    to_float = torch.Tensor.float

    def spy(tensor):
        made.append(to_float(tensor))
        return made[-1]

    monkeypatch.setattr(torch.Tensor, 'float', spy)
    preprocessor = MODELS.build(
        dict(type='ClipDataPreprocessor', format_shape='NCTHW', **NORMALISE)
    )
    clip = torch.zeros((1, 3, 4, 8, 8), dtype=torch.uint8)
    batch, _ = preprocessor.preprocess([clip, clip], None)
    assert len(made) == 1 and batch.data_ptr() == made[0].data_ptr()
    assert batch.is_contiguous()
