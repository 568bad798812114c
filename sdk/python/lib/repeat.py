"""What else is to be the same again in deterministic mode; run at open, before any script. Hashes of strings are
CPython's own to seed."""


def _seed_random(random):
    random.seed(seed())


on_import("random", _seed_random)
