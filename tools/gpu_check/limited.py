"""Runs a program for so long."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Optional


def run_for(
    seconds: float, words: list[str], log: Path, **options
) -> Optional[int]:
    """Run a program, and end it and all that it started.

    Args:
        seconds (float): Its time.
        words (list[str]): Command line.
        log (Path): File for its output.
        options: Of ``subprocess.Popen``.

    Returns:
        int | None: Its exit code, or None where its time was up.
    """
    with open(log, 'wb') as file:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **options,
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
