"""Encoders: what is loaded, adapted, trained, merged and saved. Imports nothing of gelo but itself.

Rooms: `backbones`, `adapt`, `heads`, `remedies`, `training`, `mini` (the shipped weights); `encoder.Encoder` and `tower.Tower` are the
nouns.
"""
