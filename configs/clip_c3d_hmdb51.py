# Clip-level training of C3D-lite on HMDB51 from scratch: the baseline.
_base_ = [
    '_base_/models/c3d_lite.py',
    '_base_/datasets/hmdb51.py',
    '_base_/schedules/sgd_20e.py',
    '_base_/default_runtime.py',
]

model = dict(cls_head=dict(num_classes=51))
# 20 epochs as on UCF101, of 3,570 videos. Counts clips of both GPUs.
auto_scale_lr = dict(base_batch_size=22)
