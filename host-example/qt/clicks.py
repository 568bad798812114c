"""Waits for three clicks in plain sequence; a second micro-thread counts the seconds meanwhile."""
import bine
import ui


def count():
    seconds = 0
    while True:
        ui.seconds(f"{seconds} s")
        bine.sleep(1)
        seconds += 1


bine.spawn(count)
try:
    for wish in ("Click the button.", "Once more.", "And a third time."):
        ui.news(wish)
        ui.clicked()
        print("clicked", flush=True)
    ui.news("That was all. Close the window.")
    bine.sleep(float("inf"))
finally:
    print("the window was closed", flush=True)
