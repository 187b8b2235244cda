# Clip-level training that starts from the conv layers of clip_c3d.py, on as
# many clips as its video-level twins.
_base_ = 'clip_c3d.py'

model = dict(
    backbone=dict(pretrained_convs='work_dirs/fights/clip_c3d/epoch_20.pth')
)
# As many clips as 8 videos have on average.
train_dataloader = dict(batch_size=24)
param_scheduler = [dict(type='MultiStepLR', milestones=[8], gamma=0.1)]
train_cfg = dict(max_epochs=10)
