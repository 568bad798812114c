"""How a settler lives. A thousand run this at once, each as if it were alone.

A call of the game takes as long as the deed: walk_to() returns on arrival. Meanwhile the
others live, and the game draws its frames."""

import math

import bine
import game


def live(agent):
    while True:
        if game.is_day():
            work()
        rest()


def work():
    """Gathers berries, trip by trip, until dusk puts an end to it, wherever that may be."""
    place = game.home()
    try:
        with bine.timeout(game.until("dusk")):
            while True:
                place = forage(place)
                bring_home()
    except bine.Timeout:
        pass


def forage(place):
    """Fills the basket, beginning around `place`; returns where it was filled."""
    game.walk_to(*near(place, 150))
    while game.carried() < game.capacity():
        bush = game.nearest_food()
        if bush is None:
            bine.sleep(0.5)  # all are bare: give them time
            continue
        game.walk_to(*near(bush, 8))
        if game.gather() == 0:  # somebody was faster
            game.walk_to(*near(game.position(), 100))
    return game.position()


def bring_home():
    game.walk_to(*near(game.home(), 45))
    game.deposit()


def rest():
    bring_home()
    game.wait_for("dawn")
    bine.sleep(2 * game.random())  # some rise later than others


def near(place, reach):
    """A spot at random, not farther away than `reach`."""
    distance = reach * math.sqrt(game.random())
    turn = math.tau * game.random()
    return place[0] + distance * math.cos(turn), place[1] + distance * math.sin(turn)
