# The paper's loss with gradient through half of each video's clips.
_base_ = 'c3d_vll.py'

model = dict(train_cfg=dict(_delete_=True, backward_share=0.5))
