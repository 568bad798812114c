"""Waits for three clicks in plain sequence; a second micro-thread counts the seconds meanwhile."""
import bine
import ui


def count():
    seconds = 0
    while True:
        bine.sleep(1)
        seconds += 1
        ui.seconds(str(seconds))


bine.spawn(count)
try:
    ui.news("Click the button.")
    ui.clicked()
    ui.news("Once more.")
    ui.clicked()
    ui.news("And a third time.")
    ui.clicked()
    ui.news("That was all. Close the window.")
    bine.sleep(float("inf"))
finally:
    print("The window was closed.")
