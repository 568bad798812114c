"""Run by python3: an echo server, a greenlet a connection, the same code patched by gevent."""
from gevent import monkey

monkey.patch_all()

import gevent  # noqa: E402

from echo_plain import run  # noqa: E402

run(gevent.spawn)
