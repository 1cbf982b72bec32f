"""How an encoder is trained: the nouns (World, Stream, Run, Step), the loop, its checkpoints. It names no remedy, task or head.

tasks/ brings the images (`stream.Source`), sweeps/ the processes (`world.World`) and the folder (`keeper.Keeper`).
"""
