#!/usr/bin/env python
"""Makes the annotation lists and the frame index of UCF101.

Example::

    python tools/data/ucf101/prepare.py data/ucf101
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from video_lists import UCF101, main  # noqa: E402

if __name__ == '__main__':
    main(UCF101)
