#!/bin/sh
# `make demo`: a small machine comes up, changes and goes down, in pid and mount namespaces of its own. Shows what
# happens and why it matters; fails, saying what, if anything does not happen. KEEP=1 leaves a shell in it before it
# goes down. Needs namespaces (any user, or root), a POSIX shell, and what `make` built:
#   PINTLE_BIN       the program
#   PINTLE_PROGRAMS  the small programs that the services run
# It waits for states, never for time; nothing may take longer than PATIENCE looks of 20 ms.
set -u
umask 022
here=$(cd "$(dirname "$0")" && pwd) || exit 111
PATIENCE=3000

say() { printf '\n%s== %s%s\n' "$bold" "$1" "$plain"; shift; for line; do printf '   %s\n' "$line"; done; }
show() { printf '%s$ %s%s\n' "$bold" "$*" "$plain"; "$@"; }
bold= plain=
[ ! -t 1 ] || { bold=$(printf '\033[1m'); plain=$(printf '\033[0m'); }

# --- outside: makes the namespaces, and judges what happened -----------------------------------------------------------
outside() {
	for needed in "${PINTLE_BIN:=$here/../../build/pintle}" "${PINTLE_PROGRAMS:=$here/../../build/programs}"; do
		[ -e "$needed" ] || { echo "demo: $needed is not there: run make first" >&2; exit 111; }
	done
	# One that was killed may have left its directory, and had our pid.
	work=${TMPDIR:-/tmp}/pintle-demo.$$
	[ ! -e "$work" ] || work=$work.$(date +%s)
	mkdir -m 755 "$work" || exit 111
	trap 'rm -rf "$work"' EXIT
	trap 'exit 130' INT TERM
	free_port >"$work/port" || exit 111
	flags=-pfm
	[ "$(id -u)" -eq 0 ] || flags=-Urpfm
	if ! reason=$(unshare $flags --mount-proc true 2>&1); then
		echo "demo: no namespaces here: $reason" >&2
		exit 111
	fi
	unshare $flags --mount-proc sh "$here/demo.sh" process-1 "$PINTLE_BIN" "$PINTLE_PROGRAMS" "$work" "${KEEP:-}"
	code=$?
	verdict="nothing was found out"
	[ ! -e "$work/verdict" ] || read -r verdict <"$work/verdict"
	[ "$verdict" = good ] || { echo "demo: FAILED: $verdict (pintle ended with $code)" >&2; exit 1; }
	[ "$code" -eq 0 ] || { echo "demo: FAILED: pintle, process 1, ended with $code" >&2; exit 1; }
	say "What the services wrote about it, in the order in which it happened"
	order=
	while read -r line; do
		printf '   %s\n' "$line"
		order="$order$line;"
	done <"$work/trace"
	expected="folders up;settings up;app down;store down;settings down;folders down;"
	[ "$order" = "$expected" ] || { echo "demo: FAILED: expected the order $expected" >&2; exit 1; }
	say "Everything that was to happen has happened."
}

# Prints PORT=N of a port of 127.0.0.1 on which one can listen. Another demo begins to look somewhere else.
free_port() {
	port=$((18080 + $$ % 50 * 20))
	last=$((port + 99))
	while [ $port -le $last ]; do
		! "$PINTLE_PROGRAMS/httpd" -t $port text 2>/dev/null || { echo "PORT=$port"; return 0; }
		port=$((port + 1))
	done
	echo "demo: no free port from $((last - 99)) to $last" >&2
	return 1
}

# --- process 1: makes the machine's places, then becomes pintle --------------------------------------------------------
# process-1 PINTLE PROGRAMS WORK KEEP
process_1() {
	{
		mount -t tmpfs -o mode=755 demo /mnt &&
		mkdir -p /mnt/demo/run /mnt/demo/log /mnt/demo/programs /mnt/demo/services /mnt/demo/state &&
		: >/mnt/demo/pintle &&
		mount --bind "$1" /mnt/demo/pintle &&
		mount --bind "$2" /mnt/demo/programs &&
		mount --bind "$here/services" /mnt/demo/services &&
		mount --bind "$3" /mnt/demo/state
	} || { echo "the places of the example machine could not be mounted" >"$3/verdict"; exit 111; }
	PINTLE_RUN=/mnt/demo/run PINTLE_LOG=/mnt/demo/log
	export PINTLE_RUN PINTLE_LOG
	say "Service files are compiled and checked before anything is started" \
		"A machine comes up from one file that was found good as a whole: names, cycles, values."
	show /mnt/demo/pintle compile /mnt/demo/services -o /mnt/demo/boot.db ||
		{ echo "the service files do not compile" >/mnt/demo/state/verdict; exit 1; }
	say "pintle becomes process $$ of its own pid namespace" \
		"It supervises, and starts its engine as a separate process: what can be wrong is not in process 1."
	# The one who looks at it all: a child of process 1, as everyone is.
	exec 4<&0
	(drive "$4" <&4) &
	exec 4<&-
	exec /mnt/demo/pintle supervise --db /mnt/demo/boot.db --shutdown-timeout 1m default
	echo "pintle could not be executed" >/mnt/demo/state/verdict
	exit 111
}

# --- inside: the demonstration -----------------------------------------------------------------------------------------
pintle() { /mnt/demo/pintle "$@"; }

# 20 ms, by a program of ours that dies after them.
moment() { /mnt/demo/programs/crash 0 20 2>/dev/null; :; }

failed() {
	printf '\ndemo: FAILED: %s\n' "$1" >&2
	echo "$1" >/mnt/demo/state/verdict
	pintle status >&2
	pintle list >&2
	kill -s TERM 1
	exit 1
}

# json NAME: all that is known of a service, on one line.
json() { pintle status --json --lines 0 "$1" 2>/dev/null; }

# number KEY TEXT: the number behind "KEY": in a JSON text; 0 if there is none.
number() {
	case $2 in *"\"$1\":"[0-9]*) rest=${2#*"\"$1\":"}; echo "${rest%%[!0-9]*}";; *) echo 0;; esac
}

pid_of() { number pid "$(json "$1")"; }

# wait_for COMMAND...: until it succeeds; the demo fails if that takes too long.
wait_for() {
	looks=0
	until "$@"; do
		looks=$((looks + 1))
		[ $looks -lt $PATIENCE ] || failed "not reached in time: $*"
		moment
	done
}

in_phase() { case $(json "$1") in *"\"phase\":\"$2\""*) true;; *) false;; esac; }

# An instance that is down may be no more.
gone() { case $(json "$1") in ''|*'"phase":"down"'*) true;; *) false;; esac; }

logged() {
	pintle log "$1" 2>/dev/null | {
		while read -r _ line; do
			[ "$line" != "$2" ] || exit 0
		done
		exit 1
	}
}

reach() { wait_for in_phase "$1" "$2"; }

engine_pid() {
	machine=$(pintle status --json 2>/dev/null)
	case $machine in *'"engine":{'*) number pid "${machine#*'"engine":{'}";; *) echo 0;; esac
}

another_engine() { next=$(engine_pid); [ "$next" -ne 0 ] && [ "$next" -ne "$1" ]; }

# pids: the process of every service that stays, as text to compare.
pids() { for name in store app web worker fragile; do printf '%s=%s ' "$name" "$(pid_of "$name")"; done; }

drive() {
	read -r port </mnt/demo/state/port
	port=${port#PORT=}

	say "Dependencies: the web server needs the application, that the store, that the settings" \
		"Each is started when what it needs is ready, not when it was merely launched; what does not depend" \
		"on each other starts at the same time. The store takes 300 ms, and says itself when it is ready."
	reach settings up
	reach store up
	reach app up
	reach web up
	show pintle tree web
	answer=$(/mnt/demo/programs/httpget 127.0.0.1 "$port") || failed "the web server does not answer"
	printf 'a request to port %s is answered: %s\n' "$port" "$answer"
	[ "$answer" = "hello from the example machine" ] || failed "the web server answers something else"
	reach worker up
	reach fragile up
	show pintle status

	say "A service that crashes comes back" \
		"Its first life ended with SIGSEGV; the second one was started after its delay, by the supervisor alone."
	wait_for logged fragile "feeling better"
	reach fragile up
	crashed=$(json fragile)
	case $crashed in *'"restarts":1,'*) ;; *) failed "fragile was not restarted once" ;; esac
	case $crashed in *'"signal":11,'*) ;; *) failed "its first life did not end with SIGSEGV" ;; esac
	show pintle status fragile
	show pintle log fragile

	say "Conditions: a service may be up only while a fact about the world holds" \
		"There is no network yet, so sync waits, and says for what. Waiting is no failure."
	reach sync waiting
	show pintle why sync

	say "An interface comes up" \
		"Whoever knows the fact tells it; sync starts, and the template dhcp@ gets an instance for this interface."
	show pintle emit --on net-up IFACE=eth0 || failed "the condition was not taken"
	reach sync up
	reach dhcp@eth0 up
	show pintle emit --on net-up IFACE=wlan0 || failed "the condition was not taken"
	reach dhcp@wlan0 up
	show pintle list
	show pintle log dhcp@wlan0

	say "One of the two interfaces goes down" \
		"Its instance goes; sync stays, for there is still a network. Then the other one goes too, and comes back."
	show pintle emit --off net-up IFACE=wlan0 || failed "the condition was not taken"
	wait_for gone dhcp@wlan0
	in_phase sync up || failed "sync did not stay up with one interface left"
	show pintle emit --off net-up IFACE=eth0 || failed "the condition was not taken"
	reach sync waiting
	show pintle tree default
	show pintle emit --on net-up IFACE=eth0 || failed "the condition was not taken"
	reach sync up
	reach dhcp@eth0 up

	say "The engine is killed with SIGKILL" \
		"All decisions are its; yet when it dies no service notices, and the next one goes on where it was."
	before=$(pids)
	engine=$(engine_pid)
	[ "$engine" -gt 0 ] || failed "the engine's pid is not told"
	show kill -s KILL "$engine"
	wait_for another_engine "$engine"
	show pintle emit --off net-up IFACE=eth0 || failed "the new engine takes no condition"
	reach sync waiting
	show pintle emit --on net-up IFACE=eth0 || failed "the new engine takes no condition"
	reach sync up
	reach dhcp@eth0 up
	after=$(pids)
	printf 'engine %s became %s\nbefore: %s\nafter:  %s\n' "$engine" "$next" "$before" "$after"
	[ "$before" = "$after" ] || failed "a service was disturbed by the death of the engine"
	[ "$(/mnt/demo/programs/httpget 127.0.0.1 "$port")" = "hello from the example machine" ] ||
		failed "the web server does not answer any more"

	if [ -n "$1" ]; then
		say "A shell in the example machine (KEEP=1)" \
			"Try: pintle list; pintle stop store; pintle why app; pintle start store; exit to go on."
		PATH=/mnt/demo:$PATH PS1='demo# ' sh -i
	fi

	say "Shutdown: everything goes down in the order opposite to that in which it came up" \
		"Then process 1 ends, and with it the machine."
	echo good >/mnt/demo/state/verdict
	show pintle shutdown --no-wait || failed "the shutdown was not taken"
}

case ${1:-} in
process-1) shift; process_1 "$@";;
*) outside;;
esac
