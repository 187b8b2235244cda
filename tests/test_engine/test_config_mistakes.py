"""Mistakes of users: what they are told, before the first step.

Each case edits a config that works and runs it as train.py does, or, where it
edits the test, as test.py does. Its message is a row of
docs/config_mistakes.md, where ``...`` stands for anything.
"""

import copy
import functools
import itertools
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import EpochBasedTrainLoop, Runner, runner
from stock_tools import ROOT, small_config
from video_files import write_dataset

_numbers = itertools.count()

HEAD = 'model.cls_head.'
LOSS = 'model.cls_head.loss_cls.'
TRAIN = 'train_dataloader.'
DATASET = 'train_dataloader.dataset.'
PIPELINE = 'train_dataloader.dataset.pipeline.'
SAMPLE, CROP, FORMAT, PACK = (f'{PIPELINE}{step}' for step in (1, 3, 4, 5))
VAL, TEST = 'val_dataloader.dataset.', 'test_dataloader.dataset.'
VAL_SAMPLE, VAL_FORMAT, VAL_PACK = (
    f'{VAL}pipeline.{step}' for step in (1, 4, 5)
)
STOCK_VAL = {
    'val_dataloader.dataset': lambda config: {
        **{
            key: value
            for key, value in config.val_dataloader.dataset.items()
            if key != 'stream_above'
        },
        'type': 'VideoDataset',
    }
}
NOTHING = dict(type='Flip', flip_ratio=0)
ONE_CLIP = dict(type='SampleFrames', clip_len=4, num_clips=1)
CLIP_SAMPLER = {
    f'{TRAIN}sampler': dict(type='DefaultSampler', shuffle=True),
    f'{TRAIN}batch_sampler': dict(type='ClipBatchSampler'),
}
CLIP_LOSS = {f'{HEAD}loss_cls': dict(type='CrossEntropyLoss')}
STOCK_HEAD = {f'{HEAD}type': 'I3DHead', f'{HEAD}average_clips': 'prob'}
CHUNKS = {
    'model.type': 'VideoLevelRecognizer3D',
    'model.train_cfg': dict(max_training_views=2),
}
MIXUP = {
    'model.data_preprocessor.blending': dict(
        type='MixupBlending', num_classes=2
    )
}


def resnet(**options):
    """A small network whose BatchNorm is in training mode."""
    return {
        'model.backbone': dict(
            type='ResNet3dSlowOnly',
            depth=50,
            pretrained=None,
            base_channels=1,
            conv1_kernel=(1, 7, 7),
            inflate=(0, 0, 1, 1),
            norm_eval=False,
            **options,
        ),
        f'{HEAD}spatial_type': 'avg',
        f'{HEAD}in_channels': 32,
    }


class Started(Exception):
    """The first iteration would have run."""


# By the message, as the documentation has it: the name of a case; keys of the
# config and their new values, or functions that make them of the config; what
# else is in the message: key, value, what is allowed; and the error.
# fmt: off
MISTAKES = {
    # --- model and loss
    "type='...' is not in the registry of ..., in dict(...": [
        ('unknown_type', {f'{LOSS}type': 'VideoLevelLos'},
         ["type='VideoLevelLos'", 'similar: VideoLevelLoss'], KeyError),
        ('unknown_sampler', {f'{TRAIN}sampler.type': 'VideoGroupSampler'},
         ["type='VideoGroupSampler'", 'DefaultSampler',
          'VideoGroupedSampler'], KeyError),
    ],
    '... has no argument ... in vll_mmaction ...': [
        ('argument_of_another_version', {f'{LOSS}weight': 0.3},
         ['VideoLevelLoss', 'weight=0.3', 'It takes alpha, ccl'], TypeError),
        ('argument_of_a_head', {f'{HEAD}dropout': 0.5},
         ['dropout=0.5', 'average_clips', 'Did you mean dropout_ratio?'],
         TypeError),
    ],
    'alpha must be in [0, 1], but got ...': [
        ('alpha_too_large', {f'{LOSS}alpha': 1.5}, ['1.5']),
        ('alpha_negative', {f'{LOSS}alpha': -0.1}, ['-0.1']),
    ],
    'alpha must be a number, but got ...': [
        ('alpha_is_text', {f'{LOSS}alpha': '0.3'}, ["'0.3'"], TypeError),
    ],
    'mode must be one of ..., but got ...': [
        ('mode',
         {f'{LOSS}ccl': dict(type='ConsistentConstraintLoss', mode='both')},
         ["'both'", "'ccl', 'euc', 'err'"]),
    ],
    'score must be one of ..., but got ...': [
        ('score', {f'{LOSS}ccl': dict(type='ConsistentConstraintLoss',
                                      score='softmax')},
         ["'softmax'", "'prob', 'logit'"]),
    ],
    'average_clips of ... must be one of ..., but got ...': [
        ('average_clips', {f'{HEAD}average_clips': 'mean'},
         ["'mean'", "'vote', 'prob', 'score', None"]),
        ('attention_of_a_head_without', {f'{HEAD}average_clips': 'attention'},
         ['VideoLevelI3DHead', "'attention'", "type='VideoAttentionI3DHead'"]),
    ],
    '... does not support multi_class=True...': [
        ('multi_class_head', {f'{HEAD}multi_class': True},
         ['VideoLevelI3DHead', 'one class a video']),
    ],
    'there is no Video...': [
        ('head_without_classes', {f'{HEAD}type': 'VideoLevelFeatureHead'},
         ['VideoLevelFeatureHead', 'it extracts features']),
        ('head_without_one_class_layer',
         {f'{HEAD}type': 'VideoAttentionTRNHead'},
         ['VideoAttentionTRNHead', 'sums over sets of frames']),
    ],
    'model.cls_head.average_clips=... is unknown to ...': [
        ('attention_of_a_stock_head',
         {**STOCK_HEAD, **CLIP_LOSS, f'{HEAD}average_clips': 'attention'},
         ["'attention'", "'I3DHead'", "type='VideoAttentionI3DHead'"]),
        ('vote_of_a_stock_head',
         {**STOCK_HEAD, **CLIP_LOSS, f'{HEAD}average_clips': 'vote'},
         ["'vote'", "'I3DHead'", "type='VideoLevelI3DHead'"]),
    ],
    '... learns its attention from a loss that knows of it...': [
        ('attention_with_the_loss_of_another_head',
         {f'{HEAD}type': 'VideoAttentionI3DHead'},
         ['VideoAttentionI3DHead', 'VideoLevelLoss', "'VideoAttentionLoss'"]),
    ],
    "model.cls_head.loss_cls.type='VideoAttentionLoss' needs the "
    'scores of a gate...': [
        ('loss_of_attention_in_a_head_without',
         {f'{HEAD}loss_cls': dict(type='VideoAttentionLoss')},
         ["type='VideoAttentionI3DHead'", "'VideoLevelI3DHead'"]),
    ],
    'model.test_cfg.fcn_test=True puts a convolution...': [
        ('full_convolution_with_attention',
         {f'{HEAD}type': 'VideoAttentionI3DHead',
          f'{HEAD}loss_cls': dict(type='VideoAttentionLoss'),
          'model.test_cfg': dict(fcn_test=True)},
         ["'VideoAttentionI3DHead'", 'fcn_test=False']),
    ],
    'model.cls_head.type=... cannot tell the videos of a batch apart...': [
        ('stock_head', STOCK_HEAD,
         ["model.cls_head.type='I3DHead'", "type='VideoLevelI3DHead'",
          'batch_size=1']),
    ],
    'model.cls_head.num_classes=..., but ... has the label ...': [
        ('num_classes_too_small', {f'{HEAD}num_classes': 2},
         ['num_classes=2', 'ann.txt has the label 2 (line 3)', 'at least 3']),
        ('num_classes_too_small_for_a_wrapped_dataset',
         {f'{HEAD}num_classes': 2, f'{TRAIN}dataset': lambda config: dict(
             type='RepeatDataset', times=2,
             dataset=config.train_dataloader.dataset)},
         ['num_classes=2', 'ann.txt has the label 2 (line 3)', 'at least 3']),
        ('num_classes_too_small_for_the_test_videos',
         {'val_dataloader.dataset.ann_file': 'more.txt'},
         ['num_classes=3', 'more.txt has the label 7 (line 2)', 'at least 8']),
        ('num_classes_too_small_in_a_test',
         {'test_dataloader.dataset.ann_file': 'more.txt'},
         ['num_classes=3', 'more.txt has the label 7', 'at least 8']),
    ],
    "metainfo['classes'] names ... classes, but ... has the label ...": [
        ('fewer_names_than_labels',
         {'val_dataloader.dataset.metainfo': dict(classes=('run', 'jump'))},
         ['names 2 classes', 'ann.txt has the label 2', 'at least 3']),
    ],
    'model.cls_head.average_clips=None keeps the scores of each clip...': [
        ('scores_of_clips_for_the_accuracy', {f'{HEAD}average_clips': None},
         ['AccMetric in val_evaluator', "average_clips='vote'"]),
        ('scores_of_clips_for_the_accuracy_of_a_test',
         {f'{HEAD}average_clips': None,
          'test_evaluator': dict(type='AccMetric')},
         ['AccMetric in test_evaluator', "average_clips='vote'"]),
    ],
    'model.cls_head.in_channels=..., but model.backbone.fc_channels=...': [
        ('in_channels', {f'{HEAD}in_channels': 32},
         ['in_channels=32', 'write in_channels=16']),
    ],
    'model.data_preprocessor.blending=... mixes clips...': [
        ('mixup', {'model.type': 'Recognizer3D', f'{VAL}stream_above': None,
                   **MIXUP},
         ['MixupBlending', 'VideoLevelLoss', 'Use blending=None']),
    ],
    '... mixes clips of different videos, which ...': [
        ('mixup_in_the_video_level_recognizer',
         {'model.type': 'VideoLevelRecognizer3D', **MIXUP},
         ['MixupBlending', 'VideoLevelLoss', 'remove `blending`']),
    ],
    "train_dataloader.collate_fn.type='clip_collate' gives a batch "
    'as one tensor...': [
        ('clip_collate_and_the_stock_preprocessor',
         {f'{TRAIN}collate_fn': dict(type='clip_collate'),
          'model.data_preprocessor.type': 'ActionDataPreprocessor'},
         ["'ActionDataPreprocessor'", 'ClipDataPreprocessor']),
    ],
    '... mixes clips of a batch, which max_training_views and '
    'backward_share...': [
        ('mixup_with_chunks', {**CHUNKS, **CLIP_SAMPLER, **CLIP_LOSS, **MIXUP},
         ['MixupBlending', 'remove `blending`']),
    ],
    'max_training_views does not go with SyncBatchNorm...': [
        ('sync_bn_with_chunks',
         {**CHUNKS, **resnet(norm_cfg=dict(type='SyncBN'))},
         ['norm_eval=True']),
    ],
    'model.type=... ignores train_cfg.max_training_views=...': [
        ('chunks_in_the_stock_recognizer',
         {**CHUNKS, 'model.type': 'Recognizer3D'},
         ["'Recognizer3D'", 'max_training_views=2',
          "'VideoLevelRecognizer3D'"]),
    ],
    'max_training_views must be at least 1, but got ...': [
        ('chunks_of_no_clips',
         {**CHUNKS, 'model.train_cfg': dict(max_training_views=0)}, ['got 0']),
    ],
    'backward_share must be above 0 and at most 1...': [
        ('share_of_the_clips_in_percent',
         {**CHUNKS, 'model.train_cfg': dict(backward_share=50)}, ['got 50']),
    ],
    'backward_share does not go with the ... BatchNorm layers...': [
        ('share_of_the_clips_and_batch_norm',
         {**CHUNKS, **resnet(), 'model.train_cfg': dict(backward_share=0.5)},
         ['norm_eval=True']),
    ],
    'model.type=... ignores train_cfg.backward_share=...': [
        ('share_of_the_clips_in_the_stock_recognizer',
         {'model.type': 'Recognizer3D',
          'model.train_cfg': dict(backward_share=0.5)},
         ["'Recognizer3D'", 'backward_share=0.5', "'VideoLevelRecognizer3D'"]),
    ],
    'pretrained_convs: no file ...': [
        ('pretrained_convs', {'model.backbone.pretrained_convs': 'lost.pth'},
         ['lost.pth'], FileNotFoundError),
    ],
    # --- checkpoints
    '...: nothing of this checkpoint fits the model...': [
        ('checkpoint_of_another_network', {'load_from': 'OTHER/other.pth'},
         ['other.pth', 'Missing in it: backbone.conv1.weight',
          'Not in the model: layer.weight']),
    ],
    '...: this checkpoint does not fit the model, and testing ...': [
        ('test_of_another_network', {'load_from': 'OTHER/classes.pth',
                                     'test_cfg': dict(type='TestLoop')},
         ['classes.pth', 'cls_head.fc_cls.weight (5, 16), not (3, 16)',
          'default_hooks.checkpoint_fit.strict=False']),
    ],
    '...: this checkpoint does not fit the model, so that training ...': [
        ('other_classes_than_when_it_was_stopped',
         {'load_from': 'OTHER/classes.pth', 'resume': True},
         ['classes.pth', 'cls_head.fc_cls.weight (5, 16), not (3, 16)',
          'load_from without resume']),
    ],
    '... is a folder: name a checkpoint...': [
        ('folder_as_a_checkpoint', {'load_from': 'OTHER'},
         ['it holds classes.pth, cut.pth, empty.pth, other.pth']),
    ],
    '... is no checkpoint, or was cut short...': [
        ('another_file_as_a_checkpoint', {'load_from': 'OTHER/ann.txt'},
         ['ann.txt', 'Name another']),
        ('checkpoint_that_was_cut_short',
         {'load_from': 'OTHER/cut.pth', 'test_cfg': dict(type='TestLoop')},
         ['cut.pth', 'fetch it again']),
        ('empty_checkpoint', {'load_from': 'OTHER/empty.pth'}, ['empty.pth']),
    ],
    '... could not be fetched (...': [
        ('address_without_a_connection',
         {'load_from': 'http://127.0.0.1:9/net-1.pth'},
         ['http://127.0.0.1:9/net-1.pth', 'checkpoints/net-1.pth'],
         ConnectionError),
    ],
    # --- samplers
    'train_dataloader has the sampler VideoGroupedSampler without ...': [
        ('no_batch_sampler', {f'{TRAIN}batch_sampler': None},
         ["type='VideoGroupedBatchSampler'", '2 clips']),
    ],
    'VideoGroupedBatchSampler needs sampler=..., got ...': [
        ('batch_sampler_on_another_sampler',
         {f'{TRAIN}sampler.type': 'DefaultSampler'},
         ["type='VideoGroupedSampler'", 'got DefaultSampler'], TypeError),
    ],
    'model.cls_head.loss_cls.type=... compares the clips of a video...': [
        ('clips_shuffled_over_the_batches', CLIP_SAMPLER,
         ["'VideoLevelLoss'", "sampler.type='DefaultSampler'",
          "sampler=dict(type='VideoGroupedSampler')"]),
        ('clips_shuffled_by_stock',
         {**CLIP_SAMPLER, f'{TRAIN}batch_sampler': None},
         ["'VideoLevelLoss'", "sampler.type='DefaultSampler'",
          "batch_sampler=dict(type='VideoGroupedBatchSampler')"]),
    ],
    'batch_size must be at least 1, got ...': [
        ('batch_size_0', {f'{TRAIN}batch_size': 0}, ['got 0']),
    ],
    'batch_size must be a positive int, got ...': [
        ('batch_size_none', {f'{TRAIN}batch_size': None}, ['None'], TypeError),
    ],
    'batch_size=... videos, but the dataset has ...': [
        ('batch_size_above_the_videos', {f'{TRAIN}batch_size': 100},
         ['batch_size=100', 'has 3']),
    ],
    'batch_size=... with drop_last=True leaves no batch of ...': [
        ('drop_last_drops_all',
         {f'{TRAIN}batch_size': 4, f'{TRAIN}batch_sampler.drop_last': True},
         ['batch_size=4', '3 videos']),
    ],
    'num_batch_per_epoch asks for ... videos an epoch...': [
        ('num_batch_per_epoch', {f'{TRAIN}num_batch_per_epoch': 10},
         ['20 videos', 'has 3']),
    ],
    'window must be at least 1, got ...': [
        ('window', {f'{TRAIN}sampler.window': 0}, ['got 0']),
    ],
    # --- data
    'There is no annotation file ...': [
        ('no_annotation_file', {f'{DATASET}ann_file': 'lost.txt'},
         ['lost.txt', 'ann_file', 'path label'], FileNotFoundError),
    ],
    '... videos cannot be used...': [
        ('no_videos_there', {f'{DATASET}data_prefix': dict(video='lost')},
         ['line 1', 'lost/0.avi: there is no such file',
          'max_bad_videos=0.05']),
        ('no_videos_there_for_the_validation',
         {f'{VAL}data_prefix': dict(video='lost')},
         ['line 1', 'lost/0.avi: there is no such file', 'max_bad_videos=0']),
        ('no_videos_there_for_the_test',
         {f'{TEST}data_prefix': dict(video='lost')},
         ['line 1', 'lost/0.avi: there is no such file', 'max_bad_videos=0']),
    ],
    '...: the label ... is out of range...': [
        ('label_above_num_classes', {f'{DATASET}num_classes': 2},
         ['ann.txt, line 3', 'label 2', '0 to 1', '`num_classes`']),
    ],
    '...: the label ... is not a whole number...': [
        ('label_is_text', {f'{DATASET}ann_file': 'names.txt'},
         ['names.txt, line 1', "'running'", 'path label']),
        ('label_is_text_in_the_test', {f'{TEST}ann_file': 'names.txt'},
         ['names.txt, line 1', "'running'", 'path label']),
    ],
    'labelled=False: training needs labels...': [
        ('training_without_labels', {f'{DATASET}labelled': False}, []),
    ],
    '... takes one label a video: multi_class=True is not supported...': [
        ('multi_class_dataset', {f'{DATASET}multi_class': True},
         ['VideoClipDataset']),
    ],
    'max_bad_videos is a share, 0 to 1, got ...': [
        ('percent_of_bad_videos', {f'{DATASET}max_bad_videos': 5}, ['got 5']),
    ],
    'VideoGroupedSampler needs a dataset whose items are clips, got ...': [
        ('stock_dataset', {f'{DATASET}type': 'VideoDataset'},
         ['got VideoDataset', "type='VideoClipDataset'"], TypeError),
    ],
    'model.cls_head.loss_cls.type=... needs to know the video...': [
        ('stock_dataset_and_samplers',
         {f'{DATASET}type': 'VideoDataset', **CLIP_SAMPLER,
          f'{TRAIN}batch_sampler': None},
         ["'VideoLevelLoss'", "dataset.type='VideoDataset'",
          "type='VideoClipDataset'"]),
    ],
    '... hides the clips of the dataset it wraps...': [
        ('wrapper_that_hides_the_clips',
         {f'{TRAIN}dataset':                 lambda config: dict(
          type='ClassBalancedDataset', oversample_thr=0.1,
          dataset=config.train_dataloader.dataset)},
         ['ClassBalancedDataset', 'RepeatDataset', 'ConcatDataset'],
         TypeError),
    ],
    'frame_index=... is the index of other videos...': [
        ('index_of_another_data_set',
         {f'{DATASET}frame_index': 'OTHER/videos/frame_index.jsonl'},
         ['other_0.avi', 'Name another path']),
    ],
    '... is not a frame index...': [
        ('index_is_another_file', {f'{DATASET}frame_index': 'OTHER/ann.txt'},
         ['ann.txt', '`frame_index`', 'Name another path']),
    ],
    # --- pipeline
    'The pipeline for ... needs the transform ...': [
        ('stock_frame_sampling',
         {SAMPLE: dict(type='SampleFrames', clip_len=4)},
         ["type='SampleVideoClips'", "'SampleFrames'"]),
        ('stock_frame_sampling_in_the_validation', {VAL_SAMPLE: ONE_CLIP},
         ["type='SampleVideoClips'", "'SampleFrames'"]),
    ],
    'SampleVideoClips: clip_len=... spans ... frames, but the longest ...': [
        ('clips_longer_than_every_video', {f'{SAMPLE}.clip_len': 64},
         ['clip_len=64', 'spans 64 frames', 'at most 9 frames']),
        ('frames_too_far_apart', {f'{SAMPLE}.frame_interval': 10},
         ['frame_interval=10', 'spans 31 frames', 'at most 9 frames']),
    ],
    'clip_len must be at least 1, got ...': [
        ('clip_len_0', {f'{SAMPLE}.clip_len': 0}, ['got 0']),
    ],
    'keep must be one of ..., got ...': [
        ('keep', {f'{SAMPLE}.max_clips': 2, f'{SAMPLE}.keep': 'last'},
         ["'last'", "'first', 'uniform', 'random'"]),
    ],
    'model.backbone.input_size=..., but the clips of train_dataloader ...': [
        ('clip_len_unlike_input_size', {f'{SAMPLE}.clip_len': 2},
         ['input_size=(4, 32, 32)', 'input_size=(2, 32, 32)', 'clip_len']),
        ('crop_unlike_input_size', {f'{CROP}.size': 40},
         ['input_size=(4, 32, 32)', 'input_size=(4, 40, 40)', 'crop']),
    ],
    '...pipeline of ... gives frames of several sizes...': [
        ('no_fixed_size', {CROP: dict(type='Resize', scale=(-1, 32))},
         ['Resize', 'RandomCrop, CenterCrop or Resize with']),
    ],
    'model.data_preprocessor.format_shape=..., but the clips ...': [
        ('format_of_the_preprocessor',
         {'model.data_preprocessor.format_shape': 'NCHW'},
         ["format_shape='NCHW'", "format_shape='NCTHW'"]),
    ],
    'FormatShape: input_format=..., but model.type=... takes ...': [
        ('format_of_the_pipeline', {f'{FORMAT}.input_format': 'NCHW'},
         ["input_format='NCHW'", "input_format='NCTHW'", "Recognizer3D'"]),
        ('format_of_the_validation', {f'{VAL_FORMAT}.input_format': 'NCHW'},
         ["input_format='NCHW'", 'val_dataloader', "'NCTHW'"]),
    ],
    'The pipeline of a ... must end with ...': [
        ('not_packed', {PACK: NOTHING}, ["type='PackActionInputs'"]),
        ('not_packed_in_the_validation', {VAL_PACK: NOTHING},
         ["type='PackActionInputs'"]),
    ],
    '..._dataloader.dataset.pipeline has no FormatShape...': [
        ('not_formatted', {FORMAT: NOTHING},
         ['train_dataloader', "input_format='NCTHW'", 'PackActionInputs']),
        ('not_formatted_in_the_validation', {VAL_FORMAT: NOTHING},
         ['val_dataloader', "input_format='NCTHW'"]),
    ],
    # --- validation
    '... videos of ... are not there, such as ...': [
        ('no_videos_there_for_stock',
         {**STOCK_VAL, f'{VAL}data_prefix': dict(video='lost')},
         ['3 of 3', 'ann.txt', 'lost/0.avi',
          'val_dataloader.dataset.data_prefix']),
    ],
    '...: ... is none that ... reads (...': [
        ('path_with_a_blank_for_stock',
         {**STOCK_VAL, f'{VAL}ann_file': 'blank.txt'},
         ["blank.txt, line 2: 'my 1.avi 1'", 'VideoDataset',
          'Wanted: a path']),
        ('label_is_text_for_stock',
         {**STOCK_VAL, f'{VAL}ann_file': 'names.txt'},
         ["names.txt, line 1: '0.avi running'", 'Wanted: a path']),
        ('empty_line_for_stock_frames',
         {**STOCK_VAL, f'{VAL}type': 'RawframeDataset',
          f'{VAL}ann_file': 'frames.txt',
          f'{VAL}data_prefix': dict(img='')},
         ["frames.txt, line 2: ''", 'RawframeDataset', 'no empty lines']),
    ],
    '... Save the file as UTF-8...': [
        ('list_in_another_encoding_for_stock',
         {**STOCK_VAL, f'{VAL}ann_file': 'latin.txt'},
         ['latin.txt', 'position 0']),
    ],
    '... has no label for ... of its ... videos...': [
        ('line_without_a_label_for_stock',
         {**STOCK_VAL, f'{VAL}ann_file': 'some.txt'},
         ['some.txt', '1 of its 2 videos', 'number 2 (line 2)']),
        ('line_without_a_label_for_stock_in_a_test',
         {'test_dataloader.dataset': lambda config: dict(
             STOCK_VAL['val_dataloader.dataset'](config),
             ann_file='some.txt')},
         ['some.txt', '1 of its 2 videos', 'a list of their own']),
    ],
    '... has too few fields...': [
        ('no_label_in_the_validation', {f'{VAL}ann_file': 'unlabelled.txt'},
         ["unlabelled.txt, line 1: '0.avi'", 'Wanted: path label']),
    ],
    'val_dataloader.dataset.labelled=False: ...': [
        ('validation_without_labels',
         {f'{VAL}ann_file': 'unlabelled.txt', f'{VAL}labelled': False},
         ['a validation needs labels', 'val_cfg']),
    ],
    'data_prefix=... has no ...': [
        ('frames_for_videos', {f'{VAL}data_prefix': dict(img='videos')},
         ["'img':", "'video'", 'data_prefix=dict(video=...)']),
    ],
    '..._dataloader.dataset.pipeline takes one clip of a video by ...': [
        ('one_clip_a_video_votes', {**STOCK_VAL, VAL_SAMPLE: ONE_CLIP},
         ['SampleFrames', 'ClipConsistencyMetric in val_evaluator',
          'SampleVideoClips']),
    ],
    '..._dataloader.batch_size=..., but videos differ ...': [
        ('several_videos_a_test_batch_with_few_clips',
         {'val_dataloader.batch_size': 2, f'{VAL_SAMPLE}.max_clips': 2},
         ['val_dataloader.batch_size=2', 'write batch_size=1']),
        ('several_videos_a_batch_of_stock_with_few_clips',
         {**STOCK_VAL, 'val_dataloader.batch_size': 2,
          f'{VAL_SAMPLE}.max_clips': 2},
         ['val_dataloader.batch_size=2', 'write batch_size=1']),
        ('several_videos_a_test_batch', {'val_dataloader.batch_size': 2},
         ['val_dataloader.batch_size=2', 'write batch_size=1']),
        ('several_videos_a_batch_of_a_test', {'test_dataloader.batch_size': 4},
         ['test_dataloader.batch_size=4', 'write batch_size=1']),
    ],
    '..._dataloader.dataset.stream_above=... gives clips as a stream...': [
        ('stream_for_a_stock_recognizer',
         {'model.type': 'Recognizer3D', f'{VAL}stream_above': 4},
         ['val_dataloader', "'VideoLevelRecognizer3D'", 'stream_above=None']),
    ],
    '..._dataloader.dataset.type=... gives clips one by one...': [
        ('clips_one_by_one_in_the_test',
         {'val_dataloader.dataset':
             lambda config: config.train_dataloader.dataset},
         ["'VideoClipDataset'", "type='WholeVideoDataset'"]),
    ],
    '..._evaluator has ClipConsistencyMetric, but model.cls_head.type=...': [
        ('metric_without_clip_scores', {**STOCK_HEAD, **CLIP_LOSS},
         ["'I3DHead'", "type='VideoLevelI3DHead'"]),
    ],
    'default_hooks.checkpoint.save_best=..., but val_evaluator ...': [
        ('save_best_of_no_metric',
         {'val_evaluator': [dict(type='ClipConsistencyMetric')]},
         ["save_best='acc/top1'", "['clip']"]),
    ],
    "out_file must end in '.npz', got ...": [
        ('out_file_of_another_kind', {'val_evaluator': [
            dict(type='ClipConsistencyMetric', out_file='scores.pkl')]},
         ["'scores.pkl'"]),
    ],
}
# fmt: on


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    write_dataset(folder, [5, 9, 4], num_classes=3)
    (folder / 'more.txt').write_text('0.avi 0\n1.avi 7\n')
    (folder / 'unlabelled.txt').write_text('0.avi\n1.avi\n')
    (folder / 'blank.txt').write_text('0.avi 0\nmy 1.avi 1\n')
    (folder / 'some.txt').write_text('0.avi 0\n1.avi\n')
    (folder / 'frames.txt').write_text('0 8 0\n\n')
    (folder / 'latin.txt').write_bytes('é.avi 0\n'.encode('latin-1'))
    (folder / 'names.txt').write_text('0.avi running\n1.avi jumping\n')
    path = small_config(folder / 'config.py', 'vll_c3d_ucf101.py', folder)
    config = Config.fromfile(path)
    for stage in ('train', 'val', 'test'):
        loader = config[f'{stage}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        # It collects garbage, which takes a while.
        loader.dataset.serialize_data = False
    config.model.cls_head.num_classes = 3
    config.train_dataloader.dataset.num_classes = None
    config.log_level = 'ERROR'
    return config


@pytest.fixture(scope='module')
def other_data(tmp_path_factory):
    """A data set of other videos, and its index; other checkpoints."""
    folder = tmp_path_factory.mktemp('other')
    shapes = {
        'other.pth': {'layer.weight': (2, 2)},
        'classes.pth': {
            'backbone.fc7.bias': (16,),
            'cls_head.fc_cls.weight': (5, 16),
        },
    }
    for name, parameters in shapes.items():
        state = {key: torch.zeros(shape) for key, shape in parameters.items()}
        torch.save(dict(state_dict=state), folder / name)
    whole = (folder / 'classes.pth').read_bytes()
    (folder / 'cut.pth').write_bytes(whole[: len(whole) // 2])
    (folder / 'empty.pth').touch()
    write_dataset(folder, [5])
    videos = folder / 'videos'
    (videos / '0.avi').rename(videos / 'other_0.avi')
    index = videos / 'frame_index.jsonl'
    index.write_text(
        '{"format": "vll_mmaction frame index", "version": 1}\n'
        '["other_0.avi", 1, 1, 5, ""]\n'
    )
    return folder


@pytest.fixture(autouse=True)
def no_step(monkeypatch):
    def started(*args):
        raise Started

    monkeypatch.setattr(EpochBasedTrainLoop, 'run_iter', started)
    # What the log says of machine and config takes a second each time.
    monkeypatch.setattr(
        runner, 'collect_env', functools.cache(runner.collect_env)
    )
    monkeypatch.setattr(Config, 'pretty_text', property(str))
    # One process has no SyncBatchNorm: as if there were several.
    monkeypatch.setattr(runner, 'revert_sync_batchnorm', lambda model: model)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def edited(config, edit, other_data):
    """A copy of a config with other values."""
    config = copy.deepcopy(config)
    for key, value in edit.items():
        if callable(value):
            value = value(config)
        if isinstance(value, str):
            value = value.replace('OTHER', str(other_data))
        *path, last = (
            int(name) if name.isdigit() else name for name in key.split('.')
        )
        functools.reduce(lambda part, name: part[name], path, config)[last] = (
            value
        )
    return config


def start(config, work_dir, test=False):
    """As train.py or test.py do."""
    config.work_dir = str(work_dir)
    # Runs of the same name in one process would share a message hub.
    config.experiment_name = f'mistake_{next(_numbers)}'
    runner = Runner.from_cfg(config)
    runner.test() if test else runner.train()


def pattern(message):
    return re.escape(message).replace(re.escape('...'), '.*')


# The second has one video a batch, which a stock head needs.
@pytest.mark.parametrize(
    'edit',
    [
        {},
        {
            **STOCK_HEAD,
            f'{TRAIN}batch_size': 1,
            'val_evaluator': [dict(type='AccMetric')],
        },
    ],
)
def test_without_a_mistake_it_starts(edit, config, other_data, tmp_path):
    with pytest.raises(Started):
        start(edited(config, edit, other_data), tmp_path)


@pytest.mark.parametrize(
    'message, edit, names, error',
    [
        pytest.param(message, edit, names, *(error or [ValueError]), id=name)
        for message, cases in MISTAKES.items()
        for name, edit, names, *error in cases
    ],
)
def test_mistake(message, edit, names, error, config, other_data, tmp_path):
    with pytest.raises(error) as caught:
        test = any(key.startswith('test_') for key in edit)
        start(edited(config, edit, other_data), tmp_path, test)
    said = str(caught.value.args[0])
    assert re.match(pattern(message), said, re.DOTALL)
    for name in names:
        assert name in said


def test_the_documentation_has_each_message_and_no_other():
    text = (ROOT / 'docs/config_mistakes.md').read_text()
    # Mistakes with features are made where features are: in
    # test_clip_feature_dataset.py and test_clip_feature_loop.py.
    text = re.sub(r'^## Features\n.*?(?=^## )', '', text, flags=re.M | re.S)
    rows = re.findall(r'^\| `(.+?)` \| .+ \| .+ \|$', text, re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert set(rows) == set(MISTAKES)
