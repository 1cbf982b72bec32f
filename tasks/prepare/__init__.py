"""From official downloads to data sets: readers of each publisher's layout, and the checks before anything is kept."""
