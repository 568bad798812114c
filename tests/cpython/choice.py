"""Which tests run.py and inside.py are to run."""


def is_within(test, choices):
    """Tests are chosen by their ids, or by what those begin with: a class, a module."""
    return any(test == choice or test.startswith(choice + ".") for choice in choices)


def is_chosen(test, chosen):
    """Of "all", or of choices; "-" before one leaves it out."""
    left_out = [choice[1:] for choice in chosen if choice[0] == "-"]
    return ("all" in chosen or is_within(test, chosen)) and not is_within(test, left_out)
