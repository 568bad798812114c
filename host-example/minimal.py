"""Two scripts in one file: plain, blocking-style Python that never blocks its host."""
import bine
import host


def clock():
    for second in range(3):
        host.say(f"tick {second}")
        bine.sleep(1)


ticking = bine.spawn(clock)
host.say("waiting for the door")
host.say(f"the door opened: {host.door_opens()}")
ticking.join()
host.say("done")
