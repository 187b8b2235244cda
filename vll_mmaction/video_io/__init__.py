"""Reads video files; knows nothing of labels, models or registries.

The lowest wing of the package: nothing here imports from another one.
"""
