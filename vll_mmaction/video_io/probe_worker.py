"""Probes videos, one a line: the program behind the frame index.

Run as a script of its own, not imported: a decoder that crashes or hangs on a
bad file then takes this process with it and nothing else, and starting it
needs neither torch nor MMAction2.

Reads a JSON list ``[count, path]`` a line from standard input (see
:func:`.video_probe.probe_video`) and answers each with a JSON line, the fields
of :class:`.video_facts.VideoFacts`.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path


def main() -> None:
    """Answer paths until standard input ends."""
    # The package itself would import torch.
    sys.path.append(str(Path(__file__).parents[1]))
    from video_io.video_facts import VideoFacts
    from video_io.video_probe import probe_video

    # Decoders write to the standard output, too; keep a clean one for answers.
    answers = os.fdopen(os.dup(1), 'w', encoding='utf-8')
    os.dup2(2, 1)
    for line in sys.stdin:
        count, path = json.loads(line)
        try:
            facts = probe_video(path, count)
        except (OSError, MemoryError) as error:
            facts = VideoFacts(reason=str(error) or type(error).__name__)
        except Exception as error:
            # Such as a PyAV that is not known here: not the file's fault.
            facts = VideoFacts(reason=f'{type(error).__name__}: {error}')
        print(json.dumps(asdict(facts)), file=answers, flush=True)


if __name__ == '__main__':
    main()
