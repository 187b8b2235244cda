"""Runs one of MMAction2's tools with the plugin imported first.

    python -m vll_mmaction TOOL [ARGUMENT ...]
    python -m vll_mmaction doctor

TOOL is a path, or one within MMAction2's ``tools``, such as
``analysis_tools/confusion_matrix.py``. Tools that read a config before they
import ``mmaction.models`` (train.py, test.py) don't need this; others fail
without it on today's Python and PyTorch, see ``compat``. analyze_logs.py is
taught the logs of today's MMEngine. The doctor says what the environment is
made of, and what is wrong with it.
"""

import os.path as osp
import runpy
import sys


def find_tool(name: str) -> str:
    """Path of a tool.

    Args:
        name (str): A path, or one within MMAction2's ``tools``.

    Returns:
        str: The path.
    """
    import mmaction

    package = osp.dirname(mmaction.__file__)
    # In the installed package, in a source checkout.
    folders = '.', f'{package}/.mim/tools', f'{package}/../tools'
    for folder in folders:
        path = osp.normpath(osp.join(folder, name))
        if osp.isfile(path):
            return path
    sys.exit(f'There is no tool {name}, neither here nor in MMAction2.')


if __name__ == '__main__':
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    del sys.argv[0]
    if sys.argv == ['doctor']:
        from vll_mmaction import doctor

        sys.exit(doctor.main())
    sys.argv[0] = find_tool(sys.argv[0])
    if osp.basename(sys.argv[0]) == 'analyze_logs.py':
        from vll_mmaction.apis import analyze_logs

        analyze_logs.run(sys.argv[0])
    else:
        runpy.run_path(sys.argv[0], run_name='__main__')
