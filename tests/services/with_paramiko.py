"""python3-paramiko, as it stands, with sshd: 200 micro-threads run commands and move files, by ten connections."""
import contextlib
import io
import threading

import crowd

paramiko = crowd.need("paramiko")

PLACE = crowd.services()
CONNECTIONS = 10


def connected():
    client = paramiko.SSHClient()
    client.load_host_keys(f"{PLACE['folder']}/known_hosts")
    client.connect("127.0.0.1", port=PLACE["sshd_port"], username=PLACE["user"], look_for_keys=False, allow_agent=False,
                   pkey=paramiko.Ed25519Key.from_private_key_file(f"{PLACE['folder']}/client_key"))
    return client


@contextlib.contextmanager
def connections():
    """Which one: a function of the worker's number."""
    clients = crowd.crowd(lambda i: connected(), CONNECTIONS)
    yield lambda i: clients[i % CONNECTIONS]
    for client in clients:
        client.close()


def outcome(client, line):
    """(output, errors, exit status). The command reads to the end of its input, which paramiko says at close(): where it
    comes when the command has ended already, sshd ends the whole connection."""
    given, output, errors = client.exec_command(f"cat >/dev/null; {line}")
    given.close()  # a destructor would do it as well, but it cannot wait until others have written
    return output.read(), errors.read(), output.channel.recv_exit_status()


def test_each_has_a_connection():
    def work(i):
        with connected() as client:
            return outcome(client, f"echo word {i}")
    assert crowd.crowd(work, 40) == [(b"word %d\n" % i, b"", 0) for i in range(40)]


def test_commands():
    with connections() as client:
        def work(i):
            return outcome(client(i), f"echo out {i}; echo error {i} >&2; exit {i}")
        assert crowd.crowd(work) == [(b"out %d\n" % i, b"error %d\n" % i, i) for i in range(crowd.COUNT)]


def test_all_wait_at_once():
    """Each command waits for a line, and none gets one before all have begun."""
    all_begun = threading.Barrier(crowd.COUNT)
    with connections() as client:
        def work(i):
            given, output, _ = client(i).exec_command("echo begun; read line; cat >/dev/null; echo got $line")
            assert output.readline() == "begun\n"
            all_begun.wait()
            given.write(f"line {i}\n")
            given.close()
            return output.read()
        assert crowd.crowd(work) == [b"got line %d\n" % i for i in range(crowd.COUNT)]


def test_much_output_comes_whole():
    with connections() as client:
        def work(i):
            return outcome(client(i), f"yes {i} | head -n 20000") == (b"%d\n" % i * 20000, b"", 0)
        assert all(crowd.crowd(work, 40))


def test_files_are_moved():
    with connections() as client:
        def work(i):
            path = f"{PLACE['folder']}/file {i}"
            content = bytes([i]) * 100_000
            with client(i).open_sftp() as sftp:
                sftp.putfo(io.BytesIO(content), path)
                assert sftp.stat(path).st_size == len(content)
                got = io.BytesIO()
                sftp.getfo(path, got)
                with sftp.open(path) as file:
                    file.seek(len(content) - 1)
                    last = file.read()
                sftp.remove(path)
                assert f"file {i}" not in sftp.listdir(PLACE["folder"])
            return got.getvalue() == content and last == bytes([i])
        assert all(crowd.crowd(work))


def test_an_unknown_host_is_refused():
    def work(i):
        with paramiko.SSHClient() as client:
            try:
                client.connect("127.0.0.1", port=PLACE["sshd_port"], username=PLACE["user"], password="none",
                               look_for_keys=False, allow_agent=False)
            except paramiko.SSHException as error:
                return "not found in known_hosts" in str(error)
        return False
    assert all(crowd.crowd(work, 10))


if __name__ == "__main__":
    crowd.main(globals())
