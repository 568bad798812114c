"""Three scripts of one window: a conversation, a progress bar, a page from a server. Each is plain Python
that waits where it stands, and none keeps the window or the others from going on."""
import errno
import os
import re
import socket
import sys

import bine
import ui

SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 20  # that a world takes to build


def converse(building):
    """Asks the person three things, one after the other."""
    try:
        name = ui.ask("Your name?")
        print("name:", name)
        rain = ui.confirm(f"Shall it rain in your world, {name}?")
        print("rain:", rain)
        season = ui.choose("When shall it begin?", ["spring", "summer", "autumn", "winter"])
        print("season:", season)
        ui.say("Just a moment ...")
        building.join()
        ui.say(f"{name}'s world is ready.\nIt is {season}{' and it rains' if rain else ''}.")
    finally:
        print("the conversation is over")


def build():
    """Moves the bar in every frame."""
    begin = bine.time()
    done = 0
    try:
        while done < 1:
            bine.next_frame()
            done = min((bine.time() - begin) / SECONDS, 1)
            ui.progress(done)
    finally:
        print(f"the building ends at {done:.0%}")


def receive(connection):
    """All that comes until the other side closes."""
    received = b""
    while True:
        bine.wait_readable(connection)
        part = connection.recv(4096)
        if not part:
            return received
        received += part


def fetch(host, port):
    """A page, over a socket that never blocks."""
    with socket.socket() as connection:
        connection.setblocking(False)
        error = connection.connect_ex((host, int(port)))
        if error == errno.EINPROGRESS:
            bine.wait_writable(connection)
            error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
        connection.send(f"GET / HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
        return receive(connection).decode()


def tell_news(address):
    """Shows the title of the server's page."""
    ui.news(f"Asking {address} ...")
    try:
        page = fetch(*address.split(":"))
        title = re.search("<title>(.*)</title>", page)[1]
        print("news:", title)
        ui.news(title)
    except OSError as error:
        ui.news(f"No news: {error}")
    finally:
        print("the news are over")


sys.stdout.reconfigure(line_buffering=True)
for address in sys.argv[1:2]:
    bine.spawn(tell_news, address)
converse(bine.spawn(build))
