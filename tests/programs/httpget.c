/* httpget ADDRESS PORT [PATH]: prints the body of the page that a web server answers. Exit code 0 if its status was
 * 200, 1 if not, 111 if there was no answer within a minute. IPv4 only. */
#include "common.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

int main(int argc, char **argv)
{
	const char *line = "httpget ADDRESS PORT [PATH]";
	if (argc < 3 || argc > 4) usage(line);
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((unsigned short)number(argv[2], line)) };
	if (inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) usage(line);
	int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (server < 0) die("socket");
	struct timeval limit = { 60, 0 };
	setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(server, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (connect(server, (struct sockaddr *)&address, sizeof address)) die("connect");
	if (dprintf(server, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", argc == 4 ? argv[3] : "/", argv[1]) < 0) die("write");

	static char text[65536];
	size_t length = 0;
	ssize_t n;
	while (length < sizeof text - 1 && (n = read(server, text + length, sizeof text - 1 - length)) != 0) {
		if (n < 0) die("read");
		length += (size_t)n;
	}
	text[length] = 0;
	char *body = strstr(text, "\r\n\r\n");
	if (strncmp(text, "HTTP/1.", 7) || length < 12 || !body) {
		dprintf(2, "httpget: not an answer of a web server\n");
		return 1;
	}
	body += 4;
	if (write(1, body, (size_t)(text + length - body)) < 0) die("write");
	return strncmp(text + 8, " 200", 4) ? 1 : 0;
}
