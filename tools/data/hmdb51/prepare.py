#!/usr/bin/env python
"""Makes the annotation lists and the frame index of HMDB51.

Example::

    python tools/data/hmdb51/prepare.py data/hmdb51
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from video_lists import HMDB51, main  # noqa: E402

if __name__ == '__main__':
    main(HMDB51)
