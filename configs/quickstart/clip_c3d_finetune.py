# The quickstart's clip-level training that starts from the conv layers of
# clip_c3d.py, on as many clips as its video-level twin.
_base_ = 'clip_c3d.py'

model = dict(
    backbone=dict(pretrained_convs='work_dirs/quickstart/clip_c3d/epoch_6.pth')
)
# As many clips as 8 videos have on average.
train_dataloader = dict(batch_size=48)
param_scheduler = [dict(type='MultiStepLR', milestones=[3], gamma=0.1)]
train_cfg = dict(max_epochs=4)
