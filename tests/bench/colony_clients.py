"""The colony's settlers, and beside them CLIENTS micro-threads that ask Redis and nginx as fast as they are answered:
see colony_company.py. How many answers there were goes to the file ANSWERS, second by second."""
import gc
import os
import site
import sys
import time

sys.path += [os.environ["COLONY"], *site.getsitepackages()]

import bine
import colony
import redis
import requests

CLIENTS = int(os.environ["CLIENTS"])
ASK_AGAIN = float(os.environ["ASK_AGAIN"])  # seconds
ANSWERS = os.environ["ANSWERS"]
REDIS = int(os.environ["REDIS"])
NGINX = os.environ["NGINX"]

gc.collect()
gc.freeze()  # else each full collection goes through all that these modules are made of: a frame of 20 ms

answers = 0
database = redis.Redis(port=REDIS)


def ask_redis(i):
    """In turns with its neighbour, who waits for it by BLPOP."""
    mine, other = f"list {i}", f"list {i ^ 2}"
    database.rpush(other, "x" * 100)
    database.blpop([mine], timeout=0)


def ask_nginx(i, session):
    assert session.get(f"{NGINX}/who", params={"name": i}).status_code == 200


def live_as_client(i):
    global answers
    session = requests.Session()
    session.trust_env = False
    while True:
        ask_redis(i) if i % 2 else ask_nginx(i, session)
        answers += 1
        time.sleep(ASK_AGAIN)


def count():
    with open(ANSWERS, "w") as file:
        while True:
            file.write(f"{answers}\n")
            file.flush()
            time.sleep(1)


def live(agent):
    if agent == 0:
        bine.spawn(count)
        for i in range(CLIENTS):
            bine.spawn(live_as_client, i)
    colony.live(agent)
