# Sourced by the peers' scripts: what several of them install and start. Everything binds to 127.0.0.1.

# A port that is free for TCP and UDP, below those that outgoing connections take.
free_port() {
  python3 - << 'PYTHON'
import random, socket
while True:
    port = random.randrange(15000, 32000)
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as one:
                one.bind(("127.0.0.1", port))
    except OSError:
        continue
    print(port)
    break
PYTHON
}

# once COMMAND...: what installs something, one at a time on this checkout.
once() {
  mkdir -p target/peers
  (flock 9; "$@") 9> target/peers/.installing
}

# packages COMMAND PACKAGE...: installs Debian packages when a command is missing. None of their services is started.
packages() { once install_packages "$@"; }
install_packages() { command -v "$1" > /dev/null || apt_install "${@:2}"; }
apt_install() {
  apt-get update -q
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}

# python_peer NAME PACKAGE...: a virtual environment in target/peers/NAME, made once.
python_peer() { once install_python_peer "$@"; }
install_python_peer() {
  local venv=target/peers/$1; shift
  [ ! -e "$venv/installed" ] || return 0
  python3 -c 'import ensurepip, venv' 2> /dev/null || apt_install python3 python3-venv
  python3 -m venv "$venv" && "$venv/bin/pip" install -q "$@" && touch "$venv/installed"
}

# heroku_cli: the real one in target/peers/heroku, with node if that is missing. Takes two minutes, once.
heroku_cli() { once install_heroku_cli; }
install_heroku_cli() {
  local heroku=target/peers/heroku
  [ ! -x "$heroku/node_modules/.bin/heroku" ] || return 0
  install_packages npm nodejs npm
  mkdir -p "$heroku" && npm install --silent --no-audit --no-fund --prefix "$heroku" heroku@11.10.0
}

# listens PORT: waits up to half a minute for a TCP server.
listens() {
  python3 - "$1" << 'PYTHON'
import socket, sys, time
for _ in range(300):
    try:
        socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close()
        sys.exit(0)
    except OSError:
        time.sleep(0.1)
sys.exit(f"nothing listens on {sys.argv[1]}")
PYTHON
}

find_postgres() { bin=$(ls -d /usr/lib/postgresql/*/bin 2> /dev/null | sort -V | tail -1); [ -x "${bin:-}/initdb" ]; }

# Sets `bin`, and installs PostgreSQL if it is missing.
postgres_programs() { once install_postgres; find_postgres; }
install_postgres() {
  find_postgres && return
  # Debian would start a cluster of its own on the usual port.
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] ||
    echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf
  apt_install postgresql openssl
  find_postgres || { echo 'no PostgreSQL is found in /usr/lib/postgresql' >&2; exit 1; }
}

# postgres_pki: a CA and a certificate of `localhost` that it signed, in $work.
postgres_pki() {
  (
    cd "$work"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test-ca \
      -addext 'basicConstraints=critical,CA:TRUE' -keyout ca.key -out ca.pem
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -keyout server.key -out server.csr
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out server.pem \
      -extfile <(printf 'subjectAltName=DNS:localhost')
    [ "$(id -u)" != 0 ] || chown postgres server.key server.pem
    chmod 600 server.key
  ) > "$work/pki.log" 2>&1 || { cat "$work/pki.log" >&2; exit 1; }
}

# PostgreSQL refuses to run as root: then it runs as `postgres`, and $work is that user's.
postgres_user() {
  as=()
  chmod 755 "$work"
  [ "$(id -u)" = 0 ] || return 0
  as=(setpriv --reuid postgres --regid postgres --clear-groups env HOME="$work")
  chown postgres "$work"
}

# postgres_start SIDE PORT OPTION...: a cluster in $work/SIDE with logical replication and a superuser `operator`.
postgres_start() {
  local side=$1 port=$2; shift 2
  echo secret > "$work/password"
  chmod 644 "$work/password"
  "${as[@]}" "$bin/initdb" -D "$work/$side" -U postgres -A scram-sha-256 --pwfile="$work/password" --no-sync > /dev/null
  printf '%s\n' "port = $port" "listen_addresses = '127.0.0.1'" "unix_socket_directories = '$work'" 'fsync = off' \
    'wal_level = logical' 'max_replication_slots = 40' 'max_wal_senders = 40' 'max_logical_replication_workers = 40' \
    'max_worker_processes = 80' 'max_connections = 200' "$@" | "${as[@]}" tee -a "$work/$side/postgresql.conf" > /dev/null
  "${as[@]}" "$bin/pg_ctl" -D "$work/$side" -l "$work/$side.log" -w start > /dev/null || { cat "$work/$side.log" >&2; exit 1; }
  PGPASSWORD=secret "$bin/psql" -X -q -h 127.0.0.1 -p "$port" -U postgres -v ON_ERROR_STOP=1 \
    -c "create role operator login superuser password 'secret'"
}

postgres_stop() {
  [ ! -f "$work/$1/postmaster.pid" ] || "${as[@]}" "$bin/pg_ctl" -D "$work/$1" -m immediate -w stop > /dev/null || true
}
