/* lines MODE SOCKET ...: the two ends of a conversation in lines, for the bench of the control socket.
 *
 *   lines echo SOCKET                              listens, takes one connection, sends back what it reads until its end
 *   lines send SOCKET COUNT WINDOW TOGETHER LINE...  sends COUNT lines, the LINEs in turn, TOGETHER of them with each write,
 *                                                  without waiting for answers but that at most WINDOW are missing; reads
 *                                                  one line back for each, and prints how many of these began with "ok ",
 *                                                  and the nanoseconds from the first line to the last answer
 */
#include "common.h"
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

static const char *line = "lines echo SOCKET | send SOCKET COUNT WINDOW TOGETHER LINE...";

static int open_socket(const char *path, int listens)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (strlen(path) >= sizeof address.sun_path) usage(line);
	strcpy(address.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) die("socket");
	if (listens) {
		if (bind(fd, (void *)&address, sizeof address) || listen(fd, 1)) die(path);
		return fd;
	}
	/* The one who listens may have just been started. */
	for (int ms = 0; connect(fd, (void *)&address, sizeof address); ms++) {
		if ((errno != ENOENT && errno != ECONNREFUSED) || ms > 1000) die(path);
		sleep_ms(1);
	}
	return fd;
}

static void send_all(int fd, const char *bytes, size_t length)
{
	while (length) {
		ssize_t sent = write(fd, bytes, length);
		if (sent < 0) die("write");
		bytes += sent;
		length -= (size_t)sent;
	}
}

static int echo(const char *path)
{
	/* As much as the engine reads at once. */
	static char bytes[4096];
	int fd = accept(open_socket(path, 1), 0, 0);
	if (fd < 0) die("accept");
	for (;;) {
		ssize_t got = read(fd, bytes, sizeof bytes);
		if (got < 0) die("read");
		if (!got) return 0;
		send_all(fd, bytes, (size_t)got);
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "echo")) return echo(argv[2]);
	if (argc < 7 || strcmp(argv[1], "send")) usage(line);
	int count = number(argv[3], line), window = number(argv[4], line), together = number(argv[5], line);
	int lines = argc - 6;
	if (!window || !together) usage(line);
	/* All lines, as often as makes many, and `together` more, so that each group is one range. */
	int in_all = lines * ((window + lines - 1) / lines) + together;
	size_t *starts = malloc(((size_t)in_all + 1) * sizeof *starts), end = 0;
	char *text = 0;
	if (!starts) die("malloc");
	for (int i = 0; i < in_all; i++) {
		const char *next = argv[6 + i % lines];
		size_t length = strlen(next);
		text = realloc(text, end + length + 1);
		if (!text) die("realloc");
		memcpy(text + end, next, length);
		text[end + length] = '\n';
		starts[i] = end;
		end += length + 1;
	}
	starts[in_all] = end;
	int turn = in_all - together;

	int fd = open_socket(argv[2], 0);
	static char answers[65536];
	int sent = 0, answered = 0, good = 0, in_line = 0, is_good = 0, at = 0, sends = 1, some = 0;
	const char *rest = text;
	size_t left = 0;
	struct timespec from, to;
	clock_gettime(CLOCK_MONOTONIC, &from);
	while (answered < count) {
		/* Half of the window is sent and half is awaited at the same time. */
		if (sent - answered <= window / 2) sends = 1;
		while (sends && (left || (sent < count && sent - answered < window))) {
			if (!left) {
				some = together < count - sent ? together : count - sent;
				rest = text + starts[at];
				left = starts[at + some] - starts[at];
			}
			ssize_t gone = send(fd, rest, left, MSG_DONTWAIT);
			/* The other side may wait for its answers to be read, too. */
			if (gone < 0 && errno == EAGAIN) break;
			if (gone < 0) die("send");
			rest += gone;
			left -= (size_t)gone;
			if (left) continue;
			sent += some;
			at = (at + some) % turn;
		}
		if (!left && (sent == count || sent - answered >= window)) sends = 0;
		ssize_t got = read(fd, answers, sizeof answers);
		if (got < 0) die("read");
		if (!got) {
			dprintf(2, "the other side is gone after %d answers\n", answered);
			return 111;
		}
		for (char *next = answers, *last = answers + got; next < last;) {
			for (; in_line < 3 && next < last && *next != '\n'; in_line++) {
				if (!in_line) is_good = 1;
				is_good &= *next++ == "ok "[in_line];
			}
			next = memchr(next, '\n', (size_t)(last - next));
			if (!next) break;
			next++;
			good += in_line == 3 && is_good;
			in_line = 0;
			answered++;
		}
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	int64_t ns = (int64_t)(to.tv_sec - from.tv_sec) * 1000000000 + (to.tv_nsec - from.tv_nsec);
	printf("%d %lld\n", good, (long long)ns);
	return 0;
}
