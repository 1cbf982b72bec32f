"""Files of users and of publishers to data sets: readers of each layout, and the checks before anything is kept.

`prepare.prepare` is the way in; a reader (tree in, `Layout` out) stands in `readers.READERS`, an official set in `general` or `biometric`.
"""
