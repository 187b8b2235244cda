# Clip-level training of C3D-lite on UCF101 from scratch: the baseline.
_base_ = [
    '_base_/models/c3d_lite.py',
    '_base_/datasets/ucf101.py',
    '_base_/schedules/sgd_20e.py',
    '_base_/default_runtime.py',
]
