#!/usr/bin/env bash
# The real servers that tests/services/*.py talk to: Redis, PostgreSQL, MariaDB, nginx and sshd, from Debian's
# packages (see tests/run.sh), on loopback.
#
#     services.sh start FOLDER    returns when all answer; FOLDER/services says where: NAME=VALUE, one a line
#     services.sh stop FOLDER     ends them; says so, and fails, when one had ended by itself
#
# They live as long as whoever called `start`, and at most until `stop`: one process watches that, and they die with
# it. All that they write is in a temporary folder, which goes with them; FOLDER keeps only the empty databases, which
# take their time to make. None of them runs as root: a root who calls this lends them the user that PostgreSQL's
# package makes, who has a shell for sshd to start.
#
# Where a program is missing, `start` ends with status 77, and there is no FOLDER/services.
set -euo pipefail

patience=90 # seconds, for a loaded machine; what goes wrong is seen at once

die() {
    echo "services.sh: $*" >&2
    exit 1
}

# ---- what runs, where ----

postgresql() {
    local version
    version=$(ls /usr/lib/postgresql 2>/dev/null | sort -n | tail -n 1)
    echo "/usr/lib/postgresql/$version/bin/$1"
}

need_programs() {
    local missing=() program
    for program in redis-server "$(postgresql initdb)" mariadbd nginx sshd ssh-keygen openssl setpriv; do
        command -v "$program" >/dev/null || missing+=("$program")
    done
    [ ${#missing[@]} = 0 ] && return
    echo "services.sh: not installed: ${missing[*]}" >&2
    exit 77
}

# Free ports, below those that the kernel gives to clients, so that no client takes one meanwhile.
free_ports() {
    python3 - "$1" <<'PYTHON'
import random, socket, sys
with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
    first = int(file.read().split()[0])
held = []
while len(held) < int(sys.argv[1]):
    try:
        held.append(socket.create_server(("127.0.0.1", random.randrange(first * 2 // 3, first))))
    except OSError:
        pass
print(*(server.getsockname()[1] for server in held))
PYTHON
}

# The signal that ends a server without a farewell: what it has stored is thrown away. PostgreSQL has others to end,
# and memory to give back.
ends_by() {
    [ "$1" = postgresql ] && echo QUIT || echo KILL
}

# run NAME COMMAND...: starts a server, as the user, who has nothing of our environment. It dies with us.
run() {
    local name=$1
    shift
    setpriv --pdeathsig "$(ends_by "$name")" "${as_user[@]}" "$@" </dev/null >"$work/$name.log" 2>&1 &
    servers[$!]=$name
}

# Once, for `folder`: NAME MAKE: `MAKE PATH` makes the empty database; each start has a copy of it.
empty_database() {
    local name=$1 kept=$folder/$1
    if [ ! -d "$kept" ]; then
        "make_$name" "$work/$name" >"$work/make-$name.log" 2>&1 ||
            { cat "$work/make-$name.log" >&2; die "no database for $name"; }
        rm -rf "$kept.new"
        cp -a "$work/$name" "$kept.new"
        mv "$kept.new" "$kept"
        return
    fi
    cp -a "$kept" "$work/$name"
    [ "$(id -u)" != 0 ] || chown -R "$user:" "$work/$name"
}

# ---- the servers ----

start_redis() {
    run redis redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$work" --save '' --appendonly no --maxclients 2000
}

make_postgresql() {
    setpriv "${as_user[@]}" "$(postgresql initdb)" -D "$1" -A trust -U bine --no-locale -E UTF8 --no-sync --wal-segsize=1
}

start_postgresql() {
    empty_database postgresql
    run postgresql "$(postgresql postgres)" -D "$work/postgresql" -p "$postgresql_port" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories="$work" -c fsync=off -c max_connections=500 -c max_wal_size=8MB \
        -c dynamic_shared_memory_type=mmap
}

make_mariadb() {
    local tables=/usr/share/mysql/mysql_system_tables
    setpriv "${as_user[@]}" mkdir "$1"
    { # as mariadb-install-db does, which wants more packages
        printf '%s;\n' 'CREATE DATABASE mysql' 'USE mysql' 'SET @auth_root_socket=NULL'
        cat "$tables.sql" "${tables}_data.sql"
    } | setpriv "${as_user[@]}" mariadbd --no-defaults --bootstrap --datadir="$1" --innodb-log-file-size=4M
}

start_mariadb() {
    empty_database mariadb
    cat >"$work/mariadb.sql" <<'SQL'
CREATE DATABASE bine CHARACTER SET utf8mb4;
CREATE USER bine@'127.0.0.1' IDENTIFIED BY 'a secret';
GRANT ALL ON bine.* TO bine@'127.0.0.1';
GRANT PROCESS ON *.* TO bine@'127.0.0.1';
SQL
    run mariadb mariadbd --no-defaults --datadir="$work/mariadb" --port="$mariadb_port" --bind-address=127.0.0.1 \
        --socket="$work/mariadb.sock" --pid-file="$work/mariadb.pid" --max-connections=500 --init-file="$work/mariadb.sql" \
        --skip-name-resolve --innodb-log-file-size=4M --innodb-flush-log-at-trx-commit=0
}

make_certificate() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout "$work/key.pem" -out "$work/certificate.pem" \
        >"$work/openssl.log" 2>&1 || { cat "$work/openssl.log" >&2; die "no certificate"; }
    chmod 644 "$work/key.pem"
}

# /who tells which connection asked, and for which time; /held/ goes on to whoever listens at upstream.sock.
start_nginx() {
    make_certificate
    mkdir "$work/www"
    head -c 3000000 /dev/urandom >"$work/www/large"
    cat >"$work/nginx.conf" <<CONF
daemon off;
master_process off;
pid $work/nginx.pid;
error_log stderr;
events { worker_connections 2000; }
http {
    access_log off;
    client_body_temp_path $work/body;
    proxy_temp_path $work/proxy;
    fastcgi_temp_path $work/fastcgi;
    uwsgi_temp_path $work/uwsgi;
    scgi_temp_path $work/scgi;
    keepalive_requests 10000;
    server {
        listen 127.0.0.1:$nginx_port backlog=1024;
        listen 127.0.0.1:$nginx_tls_port ssl backlog=1024;
        ssl_certificate $work/certificate.pem;
        ssl_certificate_key $work/key.pem;
        root $work/www;
        location = /who { return 200 "\$arg_name \$connection \$connection_requests"; }
        location = /moved { return 302 /who?\$args; }
        location /held/ { proxy_pass http://unix:$work/upstream.sock; proxy_read_timeout ${patience}s; }
    }
}
CONF
    run nginx nginx -e stderr -p "$work" -c "$work/nginx.conf"
}

start_sshd() {
    ssh-keygen -q -t ed25519 -N '' -f "$work/host_key"
    ssh-keygen -q -t ed25519 -N '' -f "$work/client_key"
    [ "$(id -u)" != 0 ] || chown "$user:" "$work/host_key"
    chmod 644 "$work/client_key" # it opens nothing but this server
    cp "$work/client_key.pub" "$work/authorized_keys"
    printf '[127.0.0.1]:%s %s\n' "$sshd_port" "$(cat "$work/host_key.pub")" >"$work/known_hosts"
    cat >"$work/sshd.conf" <<CONF
ListenAddress 127.0.0.1:$sshd_port
HostKey $work/host_key
AuthorizedKeysFile $work/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
PidFile none
MaxStartups 1000
MaxSessions 300
Subsystem sftp internal-sftp
CONF
    run sshd /usr/sbin/sshd -D -e -f "$work/sshd.conf"
}

# ---- whether they answer ----

# A server that waits for its client to begin.
accepts() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# One that begins itself.
greets() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1" && IFS= LC_ALL=C read -r -t 5 -d '' -N 1 -u 3 _) 2>/dev/null
}

answers() {
    case $1 in
    redis) accepts "$redis_port" ;;
    postgresql) "$(postgresql pg_isready)" -q -h 127.0.0.1 -p "$postgresql_port" ;;
    mariadb) greets "$mariadb_port" ;;
    nginx) accepts "$nginx_port" && accepts "$nginx_tls_port" ;;
    sshd) greets "$sshd_port" ;;
    esac
}

wait_for_answers() {
    local deadline=$((SECONDS + patience)) pid
    for pid in "${!servers[@]}"; do
        until answers "${servers[$pid]}"; do
            kill -0 "$pid" 2>/dev/null || { said "${servers[$pid]}"; die "${servers[$pid]} has ended"; }
            [ $SECONDS -lt $deadline ] || { said "${servers[$pid]}"; die "${servers[$pid]} does not answer"; }
            sleep 0.05
        done
    done
}

said() {
    sed "s/^/$1: /" "$work/$1.log" >&2
}

# ---- the process that watches over them ----

end_servers() {
    local pid
    for pid in "${!servers[@]}"; do
        kill -"$(ends_by "${servers[$pid]}")" "$pid" 2>/dev/null || true
    done
    (setpriv --pdeathsig KILL sleep 10 && kill -KILL "${!servers[@]}") >/dev/null 2>&1 &
    wait "${!servers[@]}" 2>/dev/null || true
    kill $! 2>/dev/null || true
    rm -rf "$work" "$folder/services"
}

write_services() {
    cat >"$folder/services.new" <<SERVICES
folder=$work
user=$user
redis_port=$redis_port
postgresql_port=$postgresql_port
mariadb_port=$mariadb_port
nginx_port=$nginx_port
nginx_tls_port=$nginx_tls_port
sshd_port=$sshd_port
SERVICES
    mv "$folder/services.new" "$folder/services"
}

# serve FOLDER PID: until PID has ended, or a signal comes. Says "ready", and nothing else, on standard output.
serve() {
    folder=$1
    local watched=$2 ended
    declare -gA servers=()
    user=$(id -un)
    as_user=()
    if [ "$user" = root ]; then
        user=postgres
        as_user=(--reuid "$user" --regid "$user" --clear-groups)
    fi
    work=$(mktemp -d /tmp/bine-services-XXXXXX)
    trap end_servers EXIT
    trap 'exit 0' TERM
    chmod 755 "$work"
    [ "$(id -u)" != 0 ] || chown "$user:" "$work"
    as_user+=(env -i "PATH=$PATH:/usr/sbin" "HOME=$work" "TMPDIR=$work" LC_ALL=C.UTF-8)
    cd "$work"

    read -r redis_port postgresql_port mariadb_port nginx_port nginx_tls_port sshd_port <<<"$(free_ports 6)"
    start_redis
    start_nginx
    start_sshd
    start_postgresql
    start_mariadb
    wait_for_answers
    write_services
    echo ready
    exec >&2

    setpriv --pdeathsig KILL tail --pid="$watched" -f /dev/null &
    wait -n -p ended "${!servers[@]}" $! || true
    [ "$ended" != $! ] || exit 0
    said "${servers[$ended]}"
    die "${servers[$ended]} has ended by itself"
}

# ---- start and stop ----

start() {
    local folder=$1 answer=''
    need_programs
    mkdir -p "$folder"
    stop "$folder" >/dev/null 2>&1 || true
    exec 3< <(exec setsid "$BASH" "$self" serve "$folder" "$PPID" </dev/null 2>"$folder/log")
    echo $! >"$folder/pid"
    IFS= read -r -t $((patience * 2)) -u 3 answer || true
    [ "$answer" = ready ] && return
    cat "$folder/log" >&2
    stop "$folder" >/dev/null 2>&1 || true
    die "the servers did not start"
}

# What a watcher leaves that was killed.
sweep() {
    local work
    work=$(sed -n 's/^folder=//p' "$1/services" 2>/dev/null) || return 0
    case $work in /tmp/bine-services-*) rm -rf "$work" "$1/services" ;; esac
}

stop() {
    local folder=$1 pid
    [ -e "$folder/pid" ] || return 0
    pid=$(cat "$folder/pid")
    rm "$folder/pid"
    if ! grep -qzx serve "/proc/$pid/cmdline" 2>/dev/null; then
        cat "$folder/log" >&2
        sweep "$folder"
        return 1
    fi
    kill "$pid"
    tail --pid="$pid" -s 0.05 -f /dev/null
}

case ${1-} in
start | stop | serve)
    [ $# -gt 1 ] || die "$1: which folder?"
    PATH=$PATH:/usr/sbin
    command=$1
    mkdir -p "$2"
    path=$(cd "$2" && pwd)
    self=$(cd "$(dirname "$0")" && pwd)/services.sh
    set -- "$command" "$path" "${@:3}"
    "$@"
    ;;
*) die "start FOLDER, or stop FOLDER" ;;
esac
