"""What a sweep is: a YAML file or a preset to trials, every fault of it in one message. No torch, no Ray.

`sweep.load_spec` and `parse_spec` are what others import; `settings` is where and how it is run; `presets/` ship with gelo.
"""
