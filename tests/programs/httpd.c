/* httpd [-t] [-r FD] [-b ADDRESS] PORT TEXT...: a web server with one page, which says TEXT; any GET gets it. With -r a
 * newline is written on descriptor FD once it listens; with -t it exits then, for it was only tried. One client at a
 * time, at most half a minute each. IPv4 only. */
#include "common.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

static char page[8192];

static size_t make_page(char **words, int count)
{
	char body[4096];
	size_t length = 0;
	for (int i = 0; i < count; i++) {
		int n = snprintf(body + length, sizeof body - length, "%s%s", words[i], i + 1 < count ? " " : "\n");
		if (n < 0 || (size_t)n >= sizeof body - length) usage("httpd: TEXT of 4,095 bytes at most");
		length += (size_t)n;
	}
	int n = snprintf(page, sizeof page,
		"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", length, body);
	return (size_t)n;
}

/* Reads up to the empty line that ends the request's head, so that closing does not reset the connection. */
static int read_request(int client)
{
	char text[8192];
	size_t length = 0;
	while (length < sizeof text - 1) {
		ssize_t n = read(client, text + length, sizeof text - 1 - length);
		if (n <= 0) return 0;
		length += (size_t)n;
		text[length] = 0;
		if (strstr(text, "\r\n\r\n") || strstr(text, "\n\n")) return !strncmp(text, "GET ", 4);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *line = "httpd [-t] [-r FD] [-b ADDRESS] PORT TEXT...";
	const char *bind_to = "127.0.0.1";
	int option, ready = -1, on = 1, try = 0;
	while ((option = getopt(argc, argv, "tr:b:")) != -1) switch (option) {
		case 't': try = 1; break;
		case 'r': ready = number(optarg, line); break;
		case 'b': bind_to = optarg; break;
		default: usage(line);
	}
	if (argc - optind < 2) usage(line);
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((unsigned short)number(argv[optind], line)) };
	if (inet_pton(AF_INET, bind_to, &address.sin_addr) != 1) usage(line);
	size_t length = make_page(argv + optind + 1, argc - optind - 1);

	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0) die("socket");
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64)) die(argv[optind]);
	if (try) return 0;
	signal(SIGPIPE, SIG_IGN);
	if (ready >= 0) tell_ready(ready);

	for (;;) {
		int client = accept4(listener, 0, 0, SOCK_CLOEXEC);
		if (client < 0) continue;
		struct timeval limit = { 30, 0 };
		setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
		setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
		if (read_request(client) && write(client, page, length) < 0) dprintf(2, "httpd: client gone\n");
		close(client);
	}
}
