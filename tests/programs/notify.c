/* notify [-d MS] [-c] [-w MS [-n COUNT]] [MESSAGE...]: speaks the sd_notify protocol (sd_notify(3)) to $NOTIFY_SOCKET, a path or, after
 * an '@', a name in the abstract space.
 *
 * Each MESSAGE is sent as one datagram; "\n" written as backslash n parts the lines of one. Without any, READY=1. Then
 * it sleeps: SIGHUP is answered with RELOADING=1 and READY=1, SIGTERM with STOPPING=1 and the end.
 * -d waits MS milliseconds before the first message; -c exits after the last. -w sends WATCHDOG=1 every MS milliseconds
 * from then on and says on standard output how often it has; after COUNT times (for ever) it only sleeps. Where
 * WATCHDOG_PID is not its own, or not there, it exits with 3 (sd_watchdog_enabled(3)). */
#include "common.h"
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static int sock;
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static socklen_t address_length;

static void send_message(const char *text, size_t length)
{
	if (sendto(sock, text, length, MSG_NOSIGNAL, (struct sockaddr *)&address, address_length) < 0) die("NOTIFY_SOCKET");
}

static void reload_message(void)
{
	char text[64];
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	long long usec = now.tv_sec * 1000000LL + now.tv_nsec / 1000;
	send_message(text, (size_t)snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld", usec));
}

int main(int argc, char **argv)
{
	const char *line = "notify [-d MS] [-c] [-w MS [-n COUNT]] [MESSAGE...]";
	int delay = 0, leave = 0, interval = 0, count = -1, sent = 0, option;
	while ((option = getopt(argc, argv, "d:cw:n:")) != -1) switch (option) {
		case 'd': delay = number(optarg, line); break;
		case 'c': leave = 1; break;
		case 'w': interval = number(optarg, line); break;
		case 'n': count = number(optarg, line); break;
		default: usage(line);
	}
	const char *pid = getenv("WATCHDOG_PID");
	if (interval && (!getenv("WATCHDOG_USEC") || !pid || atoi(pid) != getpid())) return 3;
	const char *path = getenv("NOTIFY_SOCKET");
	if (!path || !*path || strlen(path) >= sizeof address.sun_path) usage("NOTIFY_SOCKET=PATH notify [MESSAGE...]");
	strcpy(address.sun_path, path);
	address_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (*path == '@') address.sun_path[0] = 0;
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0) die("socket");

	/* Blocked before the first message: the answer to READY=1 may be a signal at once. */
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, 0);

	sleep_ms(delay);
	if (optind == argc) send_message("READY=1", 7);
	for (int i = optind; i < argc; i++) {
		char *to = argv[i];
		for (const char *from = to; *from; from++) {
			if (from[0] == '\\' && from[1] == 'n') from++, *to++ = '\n';
			else *to++ = *from;
		}
		send_message(argv[i], (size_t)(to - argv[i]));
	}
	while (!leave) {
		int signal;
		if (interval && sent != count) {
			struct timespec until = { interval / 1000, (interval % 1000) * 1000000L };
			signal = sigtimedwait(&set, 0, &until);
			if (signal < 0 && errno == EAGAIN) {
				send_message("WATCHDOG=1", 10);
				dprintf(1, "%d\n", ++sent);
			}
			if (signal < 0) continue;
		} else if (sigwait(&set, &signal)) continue;
		if (signal == SIGTERM) {
			send_message("STOPPING=1", 10);
			leave = 1;
		} else {
			reload_message();
			send_message("READY=1", 7);
		}
	}
	return 0;
}
