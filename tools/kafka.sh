#!/usr/bin/env bash
# A Kafka broker of one node, to try things with and to test against: Apache Kafka in KRaft mode.
#
#   tools/kafka.sh start DIR [PORT] [PROPERTY=VALUE...]   on localhost:PORT (9092) and, for itself, PORT + 1; its data,
#                                                         its log and its pid are in DIR; returns when it answers.
#                                                         Without PORT, as it was started there before
#   tools/kafka.sh stop DIR
#   tools/kafka.sh fetch                                  only gets what is missing
#
# Needs Java 17, and Maven, which gets its jars (46 MB) once into $ESFS_KAFKA, by default build/kafka. $ESFS_KAFKA_JAVA:
# more options for java.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
jars=${ESFS_KAFKA:-$here/build/kafka}
kafka=3.9.1 reload4j=1.7.36

die() {
  printf '%s\n' "$0: $*" >&2
  exit 1
}

usage() {
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

pom() {
  cat <<END
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>esfs</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$kafka</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-reload4j</artifactId><version>$reload4j</version></dependency>
  </dependencies>
</project>
END
}

# All of the jars, or none: they are gathered beside where they are looked for.
fetch() {
  [ ! -d "$jars/$kafka" ] || return 0
  command -v java >/dev/null || die "there is no java: Debian has it in default-jre-headless"
  command -v mvn >/dev/null || die "there is no mvn: Debian has it in maven"
  mkdir -p "$jars"
  exec 9>"$jars/lock"
  flock 9
  [ ! -d "$jars/$kafka" ] || return 0
  rm -rf "$jars/new"
  mkdir "$jars/new"
  pom >"$jars/pom.xml"
  mvn -q -B -f "$jars/pom.xml" dependency:copy-dependencies -DoutputDirectory="$jars/new" >"$jars/mvn.log" 2>&1 ||
    die "Kafka cannot be fetched: $(tail -n 1 "$jars/mvn.log")"
  mv "$jars/new" "$jars/$kafka"
}

# check_arguments [PORT] [PROPERTY=VALUE...]
check_arguments() {
  local property
  [ $# != 0 ] || return 0
  [[ $1 =~ ^[1-9][0-9]{0,4}$ && $1 -le 65534 ]] || die "$1: a port is meant, from 1 to 65534"
  for property in "${@:2}"; do
    [[ $property == ?*=* ]] || die "$property: PROPERTY=VALUE is meant"
  done
}

# The process of the broker whose directory this is; fails when it does not run.
running() {
  local pid
  pid=$(cat "$1/pid" 2>/dev/null) || return 1
  [ -e "/proc/$pid/cmdline" ] || return 1
  tr '\0' '\n' <"/proc/$pid/cmdline" | grep -xF "$1/server.properties" >/dev/null || return 1
  echo "$pid"
}

port_of() { sed -n 's/^listeners=[A-Z_]*:..localhost:\([0-9]*\),.*/\1/p' "$1/server.properties" | tail -n 1; }

# configure DIR PORT PROPERTY=VALUE...: a new node, or other properties for the one that is there
configure() {
  local dir=$1 port=$2
  shift 2
  mkdir -p "$dir"
  cat >"$dir/log4j.properties" <<END
log4j.rootLogger=INFO, file
log4j.appender.file=org.apache.log4j.FileAppender
log4j.appender.file.File=$dir/broker.log
log4j.appender.file.layout=org.apache.log4j.PatternLayout
log4j.appender.file.layout.ConversionPattern=[%d] %p %m (%c)%n
END
  {
    cat <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@localhost:$((port + 1))
listeners=PLAINTEXT://localhost:$port,CONTROLLER://localhost:$((port + 1))
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$dir/data
num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
END
    [ $# = 0 ] || printf '%s\n' "$@"
  } >"$dir/new.properties"
  [ -e "$(sed -n 's/^log.dirs=//p' "$dir/new.properties" | tail -n 1)/meta.properties" ] || format "$dir"
  mv "$dir/new.properties" "$dir/server.properties"
}

format() {
  java -cp "$jars/$kafka/*" kafka.tools.StorageTool format -c "$1/new.properties" \
    -t "$(head -c 16 /dev/urandom | base64 | tr '+/' 'Aa' | tr -d =)" >"$1/out" 2>&1 ||
    die "the node cannot be made: $(tail -n 3 "$1/out")"
}

answers() { (: >"/dev/tcp/localhost/$1") 2>/dev/null && grep -q 'Kafka Server started' "$dir/broker.log"; }

start() {
  local dir port options pid
  check_arguments "${@:2}"
  read -ra options <<<"${ESFS_KAFKA_JAVA:-}"
  mkdir -p "$1"
  dir=$(cd "$1" && pwd)
  ! pid=$(running "$dir") || die "$1: the broker runs already, on localhost:$(port_of "$dir"), as process $pid"
  fetch
  [[ $# = 1 && -e $dir/server.properties ]] || configure "$dir" "${2:-9092}" "${@:3}"
  port=$(port_of "$dir")
  : >"$dir/broker.log"
  setsid java -Xmx256m "${options[@]}" -Dlog4j.configuration="file:$dir/log4j.properties" -cp "$jars/$kafka/*" \
    kafka.Kafka "$dir/server.properties" </dev/null >"$dir/out" 2>&1 9>&- &
  echo $! >"$dir/pid"
  for _ in {1..600}; do
    ! answers "$port" || return 0
    kill -0 "$(cat "$dir/pid")" 2>/dev/null || break
    sleep 0.1
  done
  ! grep -q 'Address already in use' "$dir/broker.log" ||
    die "the broker does not start: port $port or $((port + 1)): Address already in use"
  die "the broker does not start: $(tail -n 3 "$dir/out" "$dir/broker.log")"
}

stop() {
  local pid
  [ -e "$1/pid" ] || die "$1: no broker was started there"
  pid=$(running "$(cd "$1" && pwd)") || return 0
  kill "$pid" 2>/dev/null || return 0
  for _ in {1..300}; do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -9 "$pid"
}

case ${1:-} in
  start) [ $# -ge 2 ] || usage; start "${@:2}" ;;
  stop) [ $# = 2 ] || usage; stop "$2" ;;
  fetch) [ $# = 1 ] || usage; fetch ;;
  *) usage ;;
esac
