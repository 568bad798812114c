"""Run by the command bine: an echo server, a micro-thread a connection."""
import bine
from echo_plain import run

run(bine.spawn)
