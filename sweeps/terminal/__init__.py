"""What a person reads in a terminal of any width: progress, tables of results and data sets, lines that break between words.

The commands of `sweeps.cli` and the stages import it; nothing here computes.
"""
