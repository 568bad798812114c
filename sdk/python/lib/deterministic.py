"""The same seed, the same numbers; run at open in deterministic mode, before any script. Module random's own
generator starts from the runtime's seed; a generator that a script makes without a seed does not."""


def _start_from_seed(module):
    from _random import Random
    own = getattr(module, "_inst", None)
    if isinstance(own, Random):  # else it is a script's own module of that name
        own.seed(config_seed())


on_import("random", _start_from_seed)
